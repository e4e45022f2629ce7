// What a session says: its state, for people, and the effects its shell carries out. No behaviour of its own.
export {};
