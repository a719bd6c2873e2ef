/** A union whose members have each other's keys as undefined, so that it can be destructured. */
export type OneOf<
  U,
  K extends PropertyKey = U extends unknown ? keyof U : never,
> = U extends unknown ? U & { readonly [P in Exclude<K, keyof U>]?: undefined } : never;
