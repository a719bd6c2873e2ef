import type { Frame, Link } from '@gannet/vsmr';

/** A link that tells how many bytes of memory have been compared with the other side. */
export class CountingLink implements Link {
  #bytes = 0;

  constructor(
    private readonly link: Link,
    private readonly pageBytes: number,
    private readonly onBytes: (bytes: number) => void,
  ) {}

  send(frame: Frame): Promise<void> {
    if (frame.kind === 'hashes') {
      this.#bytes += frame.pages.length * this.pageBytes;
      this.onBytes(this.#bytes);
    }
    return this.link.send(frame);
  }

  receive(): Promise<Frame> {
    return this.link.receive();
  }

  close(): void {
    this.link.close();
  }
}
