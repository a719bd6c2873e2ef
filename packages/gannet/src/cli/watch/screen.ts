/** A terminal that is drawn over and over, and looks as before in the end. */

const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const TO_END_OF_LINE = '\u001b[K';
const TO_END_OF_SCREEN = '\u001b[J';

/** Where to write; `process.stdout` is one. */
export interface Screen {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}

/** Whether it can be drawn on. If not, lines follow one another. */
export function isDrawable({ isTTY }: Screen, { TERM }: NodeJS.ProcessEnv): boolean {
  return isTTY === true && TERM !== undefined && TERM !== 'dumb';
}

/** What a terminal has room for. */
export interface Room {
  readonly columns: number;
  readonly rows: number;
}

export class Canvas {
  readonly #redraw = (): void => this.draw();

  /** @param linesFor what is to be seen now, in this room */
  constructor(
    private readonly screen: Screen,
    private readonly linesFor: (room: Room) => readonly string[],
  ) {}

  begin(): void {
    this.screen.write(ENTER);
    this.screen.on('resize', this.#redraw);
  }

  end(): void {
    this.screen.off('resize', this.#redraw);
    this.screen.write(LEAVE);
  }

  draw(): void {
    const { columns = 80, rows = 24 } = this.screen;
    // A character in the last column may already begin the next row.
    const lines = this.linesFor({ columns: columns - 1, rows }).slice(0, rows);
    const drawn = lines.map((line) => line + TO_END_OF_LINE);
    this.screen.write(HOME + drawn.join('\r\n') + TO_END_OF_SCREEN);
  }
}
