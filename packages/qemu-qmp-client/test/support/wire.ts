/** Writes QMP's bytes by hand: what the client's own codec gets wrong, this does not repeat. */

export const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, ' +
  '"package": "Debian 1:7.2"}, "capabilities": ["oob"]}}\r\n';

export const GREETING_WITHOUT_OOB = GREETING.replace('"oob"', '');

export function ok(id: string, value = '{}'): string {
  return `{"return": ${value}, "id": "${id}"}\r\n`;
}

export function failed(id: string, errorClass: string, desc: string): string {
  return `{"id": "${id}", "error": {"class": "${errorClass}", "desc": "${desc}"}}\r\n`;
}

export function event(name: string, data?: string): string {
  const member = data === undefined ? '' : `, "data": ${data}`;
  return (
    `{"timestamp": {"seconds": 1700000000, "microseconds": 42}, ` +
    `"event": "${name}"${member}}\r\n`
  );
}
