import { type ChildProcess, spawn } from 'node:child_process';

const EXTENSION_USEC = 30_000_000;
const EXTENSION_PERIOD_MS = 10_000;

/**
 * One that fails, because systemd re-executes itself or is slow to confirm, must not be the last:
 * without the next line of the watchdog, systemd kills this daemon. `--no-block` does not wait for
 * systemd's confirmation; releases before 246 do not have it.
 */
const SCRIPT = `while IFS= read -r line; do
  if systemd-notify --no-block "$line" || systemd-notify "$line"
  then echo done
  else echo failed
  fi
done`;

/**
 * Tells systemd how a service is doing (sd_notify(3)), where systemd wants to know: NOTIFY_SOCKET
 * is set.
 *
 * Node.js has no datagram sockets of unix, and a native module for a line of text now and then
 * would be one more thing to trust. So systemd's own systemd-notify(1) does it, which is there
 * wherever systemd is. It is not started from here each time: forking a process that holds a
 * gigabyte of a guest's writes stops it, and so the guest, for some 50 to 200 ms (measured). A
 * shell that is started once, while this process is small, reads what to tell from a pipe and ends
 * with it. The unit says NotifyAccess=all, for who tells is not the daemon's own process.
 */
export class Notifier {
  #status = '';
  #timer: NodeJS.Timeout | undefined;

  private constructor(private readonly shell: ChildProcess | undefined) {}

  /**
   * Takes the variables out of `env`: what else this process starts has nothing to tell.
   *
   * @param onFailure called with the first of several failures in a row
   */
  static start(env: NodeJS.ProcessEnv, onFailure: (reason: string) => void): Notifier {
    const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = env;
    delete env['NOTIFY_SOCKET'];
    delete env['WATCHDOG_USEC'];
    delete env['WATCHDOG_PID'];
    if (!NOTIFY_SOCKET) return new Notifier(undefined);
    const shell = spawn('/bin/sh', ['-c', SCRIPT], {
      env: { ...env, NOTIFY_SOCKET },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    let isBroken = false;
    const fail = (reason: string): void => {
      if (!isBroken) onFailure(reason);
      isBroken = true;
    };
    shell.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('failed')) fail('systemd-notify failed');
      if (text.endsWith('done\n')) isBroken = false;
    });
    shell.once('error', ({ message }) => fail(message));
    shell.once('exit', (code, signal) => fail(`its shell ended with ${signal ?? code}`));
    shell.stdin.on('error', () => undefined);
    const notifier = new Notifier(shell);
    const isOurs = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === process.pid;
    // Twice as often as it wants, as sd_watchdog_enabled(3) says. From the event loop: that is what
    // is watched.
    const periodMs = Number(WATCHDOG_USEC) / 2000;
    if (isOurs && periodMs > 0) setInterval(() => notifier.#tell('WATCHDOG=1'), periodMs).unref();
    return notifier;
  }

  ready(): void {
    this.#tell('READY=1');
  }

  /** Until ready() is told again. */
  reloading(): void {
    this.#tell('RELOADING=1');
  }

  /** From now on to the end more time is asked for, so that a drain that gets on is not cut off. */
  stopping(): void {
    this.#tell('STOPPING=1');
    const extend = (): void => this.#tell(`EXTEND_TIMEOUT_USEC=${EXTENSION_USEC}`);
    extend();
    this.#timer ??= setInterval(extend, EXTENSION_PERIOD_MS).unref();
  }

  /** One line for `systemctl status`. */
  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    this.#tell(`STATUS=${text.replaceAll(/\s+/g, ' ')}`);
  }

  /** Nothing is told any more; what was told still gets there. */
  close(): void {
    clearInterval(this.#timer);
    this.shell?.removeAllListeners('exit');
    this.shell?.stdin?.end();
  }

  #tell(assignment: string): void {
    if (this.shell?.stdin?.writable === true) this.shell.stdin.write(`${assignment}\n`);
  }
}
