import type { DaemonEvent, MethodName, MethodResult, Status } from '@gannet/contract';

/** The methods that a daemon offers to its page. */
type PageMethod = Extract<
  MethodName,
  | ('status' | 'events' | 'watch' | 'protect' | 'reprotect' | 'checkpoint')
  | ('move' | 'failover' | 'detach')
>;

/** What the page knows. `token`: a person must enter it, for there is none or it was wrong. */
export interface View {
  readonly link: 'connecting' | 'live' | 'lost' | 'token';
  readonly status: Status | undefined;
  readonly events: readonly DaemonEvent[];
  /** When `status` came, on this machine's clock. */
  readonly statusAt: number;
  readonly tokenWasWrong: boolean;
}

/** An error as the daemon reports it. */
export class Refusal extends Error {
  constructor(
    message: string,
    readonly remedy: string,
    readonly isRefused: boolean,
  ) {
    super(message);
  }
}

type Reply = Readonly<{
  id?: number;
  event?: DaemonEvent;
  result?: unknown;
  progress?: unknown;
  error?: { message: string; remedy: string; exit: string };
}>;

const KEY = 'gannet-token';
const NOT_AUTHENTICATED = 4401;
const STATUS_EVERY_MS = 1000;
const RECONNECT_MS = 1500;
const EVENTS_MAX = 1500;
const LOST = new Refusal(
  'The connection to the daemon has ended',
  'It may have been done all the same.',
  false,
);

/**
 * The daemon's WebSocket: sends the token first, then asks for the status every second. Events come
 * by themselves.
 */
export class Connection {
  #view: View = {
    ...{ link: 'connecting', status: undefined, events: [], statusAt: 0, tokenWasWrong: false },
  };
  #socket: WebSocket | undefined;
  #token: string;
  #lastId = 0;
  readonly #pending = new Map<number, (reply: Reply) => void>();

  constructor(private readonly onView: (view: View) => void) {
    this.#token = takeToken();
    setInterval(() => void this.#refresh(), STATUS_EVERY_MS);
  }

  get view(): View {
    return this.#view;
  }

  start(): void {
    if (this.#token === '') this.#show({ link: 'token' });
    else this.#connect();
  }

  /** Typed by a person. */
  useToken(token: string): void {
    this.#token = token.trim();
    sessionStorage.setItem(KEY, this.#token);
    this.#show({ tokenWasWrong: false });
    this.#connect();
  }

  /** @throws Refusal with the daemon's own words */
  call<M extends PageMethod>(method: M): Promise<MethodResult<M>> {
    return this.#request(method) as Promise<MethodResult<M>>;
  }

  async #request(method: string, params: Record<string, unknown> = {}): Promise<unknown> {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) throw LOST;
    const id = ++this.#lastId;
    const reply = await new Promise<Reply>((resolve) => {
      this.#pending.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
    const { error, result } = reply;
    if (error) throw new Refusal(error.message, error.remedy, error.exit === 'refused');
    return result;
  }

  #show(change: Partial<View>): void {
    this.#view = { ...this.#view, ...change };
    this.onView(this.#view);
  }

  #connect(): void {
    this.#show({ link: this.#view.status ? 'lost' : 'connecting' });
    const socket = new WebSocket(
      `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`,
    );
    this.#socket = socket;
    socket.onopen = () => void this.#begin();
    socket.onmessage = ({ data }: MessageEvent<string>) => this.#take(JSON.parse(data) as Reply);
    socket.onclose = ({ code }) => this.#ended(code);
  }

  async #begin(): Promise<void> {
    try {
      await this.#request('authenticate', { token: this.#token });
      await this.call('watch');
      const events = await this.call('events');
      this.#show({ events });
      await this.#refresh();
      this.#show({ link: 'live' });
    } catch {
      // Its close says more.
    }
  }

  async #refresh(): Promise<void> {
    if (this.#socket?.readyState !== WebSocket.OPEN || this.#view.link === 'token') return;
    try {
      const status = await this.call('status');
      this.#show({ status, statusAt: Date.now() });
    } catch {
      // As above.
    }
  }

  #take(reply: Reply): void {
    if (reply.event) {
      this.#show({ events: [...this.#view.events, reply.event].slice(-EVENTS_MAX) });
      void this.#refresh();
    } else if (reply.id !== undefined && !('progress' in reply)) {
      this.#pending.get(reply.id)?.(reply);
      this.#pending.delete(reply.id);
    }
  }

  #ended(code: number): void {
    const { message, remedy } = LOST;
    for (const settle of this.#pending.values())
      settle({ error: { message, remedy, exit: 'failed' } });
    this.#pending.clear();
    if (code === NOT_AUTHENTICATED) {
      sessionStorage.removeItem(KEY);
      this.#show({ link: 'token', tokenWasWrong: true });
      return;
    }
    this.#show({ link: this.#view.status ? 'lost' : 'connecting' });
    setTimeout(() => this.#connect(), RECONNECT_MS);
  }
}

/** From the fragment, which no server sees, once; it must not stay in the history. */
function takeToken(): string {
  const given = /^#token=([\w-]+)$/.exec(location.hash)?.[1];
  if (given === undefined) return sessionStorage.getItem(KEY) ?? '';
  sessionStorage.setItem(KEY, given);
  history.replaceState(null, '', location.pathname);
  return given;
}
