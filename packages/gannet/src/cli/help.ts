/** What each command looks like when it is used, for its --help. */
const EXAMPLES: Readonly<Record<string, readonly (readonly [line: string, what: string])[]>> = {
  secondary: [
    ['gannet secondary web', 'as /etc/gannet/web.yaml says; then start its QEMU'],
    ['gannet secondary web --overwrite', 'over a base that holds an older copy'],
    ['gannet secondary -c ./web.yaml --log-level debug', 'with a file of your own'],
  ],
  primary: [['gannet primary web', 'beside the running VM; it changes nothing by itself']],
  protect: [
    ['gannet protect web', 'copies the disks, starts COLO, returns when it is protected'],
    ['gannet protect web --seed-rate 50MiB', 'leaves the network to others'],
    ['gannet protect web --json 2>progress', 'progress as JSON lines, the result on stdout'],
  ],
  'seed-rate': [
    ['gannet seed-rate web --rate 10MiB', 'slower, from now on'],
    ['gannet seed-rate web --rate 0', 'as fast as it goes'],
  ],
  check: [
    ['gannet check web', 'what is in the way, why it matters, what to do'],
    ['gannet check web --print-secondary > start.sh', "the other QEMU's command line"],
  ],
  status: [
    ['gannet status web', 'both sides, link, memory, the last checkpoints'],
    ['gannet status web --json | jq .state', 'for a program; `schema` is its version'],
    ['gannet status web >/dev/null; echo $?', '0 as it should be, 3 degraded'],
  ],
  watch: [
    ['gannet watch web', 'live, until Ctrl-C'],
    ['ssh host gannet watch web | tee web.log', 'lines instead, without a terminal'],
  ],
  events: [
    ['gannet events web', 'what happened, with what to do about it'],
    ['gannet events web --follow', 'and what happens next, until Ctrl-C'],
    ['gannet events web --follow --json | jq -c "select(.kind == \\"commit\\")"', ''],
  ],
  page: [
    ['gannet page web', 'the address of the web page, with its token'],
    ['ssh -L 9470:127.0.0.1:9470 host', 'from elsewhere: then open the same address here'],
  ],
  checkpoint: [['gannet checkpoint web', 'on the primary host; returns when it is done']],
  failover: [
    ['gannet failover web', 'on the secondary host, when the primary is gone'],
    ['gannet failover web --force', 'you are certain that it does not run any more'],
  ],
  detach: [
    ['gannet detach web', 'on the primary host; also stops a copy that is under way'],
    ['gannet detach web --force', 'though the secondary can not be told'],
  ],
  reprotect: [
    ['gannet reprotect web', 'on the host of the survivor, with a new secondary waiting'],
  ],
  recover: [['gannet recover web', 'the daemon is not running, and a journal is left']],
  completion: [
    ['eval "$(gannet completion bash)"', 'in ~/.bashrc'],
    ['gannet completion fish > ~/.config/fish/completions/gannet.fish', ''],
  ],
};

export function examplesOf(command: string): string {
  const examples = EXAMPLES[command] ?? [];
  if (examples.length === 0) return '';
  const width = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, what]) => `  ${line.padEnd(width)}   ${what}`.trimEnd());
  return `\nExamples:\n${lines.join('\n')}`;
}
