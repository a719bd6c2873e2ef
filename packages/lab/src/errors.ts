/** What the lab needs is missing, did not start, or did not happen in time. */
export class LabError extends Error {
  readonly code = 'GANNET_LAB';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LabError';
  }
}
