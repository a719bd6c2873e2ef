/** Unix sockets whose paths fit into the address of one (unix(7)): 107 bytes and a zero. */
const PATH_MAX_BYTES = 107;

/** The first of the names whose path in the folder is short enough. */
export function shortSocketPath(folder: string, ...names: readonly string[]): string | undefined {
  return names.map((name) => `${folder}/${name}`).find(isSocketPath);
}

function isSocketPath(path: string): boolean {
  return Buffer.byteLength(path) <= PATH_MAX_BYTES;
}
