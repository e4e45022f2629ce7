// The clock that all threads of a run share.

/** Milliseconds, with a fraction. */
export function now() {
  return performance.timeOrigin + performance.now();
}

/**
 * A promise, for so long.
 * @template T
 * @param {Promise<T>} promise
 * @param {number} seconds
 * @param {() => string} why
 * @returns {Promise<T>}
 */
export async function within(promise, seconds, why) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${why()} after ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, /** @type {Promise<never>} */ (late)]);
  } finally {
    clearTimeout(timer);
  }
}
