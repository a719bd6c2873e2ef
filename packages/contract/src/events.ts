/** What happened in a daemon. */
export interface DaemonEvent {
  readonly at: string;
  readonly role: 'primary' | 'secondary';
  readonly kind: string;
  readonly [detail: string]: unknown;
}
