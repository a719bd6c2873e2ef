/** Texts of --help: the examples of each command, and what follows the list of commands. */
import { EXIT } from '@gannet/contract/errors';

const EXAMPLES: Readonly<Record<string, readonly (readonly [line: string, what: string])[]>> = {
  secondary: [
    ['gannet secondary web', 'configured in /etc/gannet/web.yaml; start its QEMU afterwards'],
    ['gannet secondary web --overwrite', 'its base holds an older copy'],
    ['gannet secondary -c ./web.yaml --log-level debug', 'another configuration file'],
  ],
  primary: [['gannet primary web', 'beside the running VM; does not change it until `protect`']],
  protect: [
    ['gannet protect web', 'returns once the VM is protected'],
    ['gannet protect web --seed-rate 50MiB', 'leaves bandwidth for other traffic'],
    ['gannet protect web --json 2>progress', 'progress as JSON lines, the result on stdout'],
  ],
  'seed-rate': [
    ['gannet seed-rate web --rate 10MiB', 'slower'],
    ['gannet seed-rate web --rate 0', 'as fast as possible'],
  ],
  check: [
    ['gannet check web', 'findings, why they matter, what to do'],
    ['gannet check web --print-secondary > start.sh', "a command line for the secondary's QEMU"],
  ],
  status: [
    ['gannet status web', 'both sides, link, memory, last checkpoint'],
    ['gannet status web --json | jq .health', 'for scripts; `schema` is the version of the format'],
    ['gannet status web >/dev/null; echo $?', '0 if it is protected and well, else 3'],
  ],
  list: [
    ['gannet list', 'a row for each VM; exits with 3 if one of them is not well'],
    ['gannet list --watch', 'live'],
    ['gannet list --json | jq -r ".vms[] | select(.isWell | not) | .vm"', ''],
  ],
  host: [
    ['gannet host', 'http://127.0.0.1:9471/; the token is the password, with any name'],
    ['gannet host --peer http://127.0.0.1:9472/', 'and the VMs of another host, here by a tunnel'],
    ['gannet host --listen 127.0.0.1:9480', 'another port'],
  ],
  watch: [
    ['gannet watch web', 'until Ctrl-C'],
    ['ssh host gannet watch web | tee web.log', 'lines instead of a screen, without a terminal'],
  ],
  events: [
    ['gannet events web', 'everything since the daemon started'],
    ['gannet events web --follow', 'and new events, until Ctrl-C'],
    ['gannet events web --since 2h --level warn', 'what went wrong in the last two hours'],
    ['gannet events web --follow --json | jq -c "select(.kind == \\"commit\\")"', ''],
  ],
  page: [
    ['gannet page web', 'open this URL in a browser on this host'],
    ['ssh -L 9470:127.0.0.1:9470 host', 'a tunnel: then open the same URL on your machine'],
  ],
  verify: [
    ['gannet verify web', 'on the primary host; exit code 3 if something is wrong'],
    ['gannet verify web --rate 50MiB', 'leaves the disks of both hosts to the guest'],
    ['gannet verify web --repair', 'rewrites on the replica what is wrong'],
  ],
  snapshot: [
    ['gannet snapshot web', 'on the secondary host; prints where each disk is read'],
    ['qemu-img convert -O qcow2 "$URI" web.qcow2', 'with such an address'],
    ['gannet snapshot web --drop', 'when the backup is complete'],
  ],
  move: [['gannet move web', 'on the primary host; returns when the secondary runs the VM']],
  checkpoint: [['gannet checkpoint web', 'on the primary host; returns when it is committed']],
  failover: [
    ['gannet failover web', 'on the secondary host, when the primary has failed'],
    ['gannet failover web --force', 'only if you are certain that the primary VM has stopped'],
  ],
  detach: [
    ['gannet detach web', 'on the primary host; also cancels a copy in progress'],
    [
      'gannet detach web --force',
      'the secondary cannot be notified: make sure it never takes over',
    ],
  ],
  reprotect: [
    ['gannet reprotect web', "on the survivor's host, after a new secondary has been started"],
  ],
  recover: [
    ['gannet recover web', 'while the daemon is stopped and a journal exists'],
    ['gannet recover web --last-commit', 'the primary is gone for good and nobody has taken over'],
  ],
  'cluster-role': [
    ['gannet cluster-role web --node alpha --current beta', 'what the agent of Pacemaker asks'],
  ],
  completion: [
    ['eval "$(gannet completion bash)"', 'in ~/.bashrc'],
    ['gannet completion fish > ~/.config/fish/completions/gannet.fish', ''],
  ],
};

/** What --help prints after the commands: paragraphs with a title, which the manual page reads. */
export const EPILOGUE = `
Examples:
  gannet secondary web      on the secondary host; start its QEMU afterwards
  gannet primary web        on the primary host, where the VM runs
  gannet check web          finds what would prevent protection
  gannet protect web        copies the disks and starts COLO
  gannet status web --json
  gannet watch web          the same, live
  gannet list               all VMs of this host
  gannet failover web       on the secondary host, when the primary has failed

Files of the VM web, unless its configuration or the environment names others:
  /etc/gannet/web.yaml          configuration       $GANNET_CONFIG_DIR
  /run/gannet/web.*             sockets             $GANNET_RUN_DIR
  /var/lib/gannet/web.journal   failover journal    $GANNET_STATE_DIR

Exit codes: ${exitCodes()}.`;

/** The examples of a command, for its --help. */
export function examplesOf(command: string): string {
  const examples = EXAMPLES[command] ?? [];
  if (examples.length === 0) return '';
  const width = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, what]) => `  ${line.padEnd(width)}   ${what}`.trimEnd());
  return `\nExamples:\n${lines.join('\n')}`;
}

/** Such as `0 done, 1 failed`. */
function exitCodes(): string {
  return Object.entries(EXIT)
    .map(([name, code]) => `${code} ${name}`)
    .join(', ');
}
