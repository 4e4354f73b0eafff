/** The wall clock, in milliseconds since 1970, UTC. The only place of the program that reads it. */
export const wallClock = (): number => Date.now();
