/**
 * Exact decimals as an unscaled bigint: 12.50 of scale 2 is 1250n. Text in, text out; a number stands for
 * the shortest text that JavaScript writes for it.
 */

const pattern = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/

/** 10^n for n up to 38, the most digits a decimal can have. */
const powers: readonly bigint[] = Array.from({ length: 40 }, (_, n) => 10n ** BigInt(n))

export function powerOfTen(n: number): bigint {
  return powers[n] ?? 10n ** BigInt(n)
}

/**
 * The unscaled value, or undefined where the text is no number, has digits beyond `scale` that are not
 * zero, or needs more than `precision` digits. Nothing is ever rounded.
 */
export function parseDecimal(input: string | number, precision: number, scale: number): bigint | undefined {
  // 128 characters are plenty for 38 digits; a longer text is not worth the work of parsing it.
  const text = typeof input === 'number' ? String(input) : input
  if (text.length > 128) return undefined
  const match = pattern.exec(text)
  if (match === null) return undefined
  const whole = match[2] ?? ''
  const fraction = match[3] ?? ''
  if (whole.length + fraction.length === 0) return undefined
  const digits = whole + fraction
  // value = digits · 10^shift, in units of 10^-scale
  const shift = Number(match[4] ?? 0) - fraction.length + scale
  let unscaled: bigint
  if (shift >= 0) {
    const significant = digits.replace(/^0+/, '')
    if (significant === '') return 0n
    if (significant.length + shift > precision) return undefined
    unscaled = BigInt(significant) * powerOfTen(shift)
  } else {
    const cut = Math.max(0, digits.length + shift)
    if (/[^0]/.test(digits.slice(cut))) return undefined
    const kept = digits.slice(0, cut)
    unscaled = kept === '' ? 0n : BigInt(kept)
  }
  if (unscaled >= powerOfTen(precision)) return undefined
  return match[1] === '-' ? -unscaled : unscaled
}

export function formatDecimal(unscaled: bigint, scale: number): string {
  if (scale === 0) return unscaled.toString()
  const negative = unscaled < 0n
  const digits = (negative ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
  const point = digits.length - scale
  return `${negative ? '-' : ''}${digits.slice(0, point)}.${digits.slice(point)}`
}
