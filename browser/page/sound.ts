// The sound of a stroke, off until asked for: browsers play nothing before a click, and neither should a page.

/** Strokes heard at the same time; a long replay is not worth more. */
const STROKES_MAX = 8;
const TREBLE_HZ = 1_046.5;
/** The bells of a ring descend a major scale, the treble first. */
const SCALE_SEMITONES = [0, 1, 3, 5, 7, 8, 10];
/** A bell's partials: hum, prime, tierce, quint, nominal. Ratio to the prime, loudness, seconds to die away. */
const PARTIALS = [
  [0.5, 0.5, 3.2],
  [1, 1, 2.4],
  [1.2, 0.7, 1.7],
  [1.5, 0.3, 1.1],
  [2, 0.8, 1.3],
] as const;

let audio: AudioContext | undefined;
let strokes = 0;

export function setSound(on: boolean): void {
  void audio?.close();
  audio = on ? new AudioContext() : undefined;
  strokes = 0;
}

/** `place` counts the bells from the treble, 0. */
export function strike(place: number): void {
  const context = audio;
  if (context === undefined || strokes >= STROKES_MAX) return;
  strokes += 1;
  const octaves = Math.floor(place / SCALE_SEMITONES.length);
  const semitones = octaves * 12 + (SCALE_SEMITONES[place % SCALE_SEMITONES.length] ?? 0);
  const prime = TREBLE_HZ * 2 ** (-semitones / 12);
  const now = context.currentTime;
  PARTIALS.forEach(([ratio, loudness, seconds], index) => {
    const tone = new OscillatorNode(context, { frequency: prime * ratio });
    const volume = new GainNode(context, { gain: 0 });
    volume.gain.setValueAtTime(0, now);
    volume.gain.linearRampToValueAtTime(loudness * 0.06, now + 0.005);
    volume.gain.exponentialRampToValueAtTime(0.00001, now + seconds);
    tone.connect(volume).connect(context.destination);
    tone.start(now);
    tone.stop(now + seconds);
    if (index === 0) tone.onended = () => void (strokes = Math.max(0, strokes - 1));
  });
}
