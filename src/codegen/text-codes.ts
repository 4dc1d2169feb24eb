import { MillraceError } from '../common/errors.js'
import { encodeUtf8 } from '../common/utf8.js'
import { type KernelTable, type MakeKernel, plain } from './kernel.js'
import * as patterns from './patterns.js'
import { repeat } from './strings.js'
import { formatNumber, formatString } from './text-format.js'
import type { Value } from './value.js'

/** Text in other shapes: character sets, URLs, masks, sounds, numbers by a picture. */

type CharacterSet = 'US-ASCII' | 'ISO-8859-1' | 'UTF-8' | 'UTF-16BE' | 'UTF-16LE' | 'UTF-16' | 'UTF-32'

function characterSet(fn: string, name: string): CharacterSet {
  const upper = name.toUpperCase()
  if (['US-ASCII', 'ISO-8859-1', 'UTF-8', 'UTF-16BE', 'UTF-16LE', 'UTF-16', 'UTF-32'].includes(upper))
    return upper as CharacterSet
  throw new MillraceError(
    'INVALID_PARAMETER_VALUE.CHARSET',
    `${fn}: there is no character set ${JSON.stringify(name)}`,
    {
      detail: `found ${JSON.stringify(name)}`,
      hint: 'UTF-8, UTF-16, UTF-16BE, UTF-16LE, UTF-32, ISO-8859-1 or US-ASCII',
    },
  )
}

function swapped(bytes: Uint8Array): Uint8Array {
  const result = Uint8Array.from(bytes.subarray(0, bytes.length & ~1))
  Buffer.from(result.buffer).swap16()
  return result
}

function unmappable(fn: string, set: string): never {
  throw new MillraceError('MALFORMED_CHARACTER_CODING', `${fn}: there are characters that ${set} does not have`, {
    detail: `the character set is ${set}`,
    hint: 'use UTF-8',
  })
}

function encode(text: string, name: string): Uint8Array {
  const set = characterSet('encode', name)
  switch (set) {
    case 'UTF-8':
      return encodeUtf8(text)
    case 'UTF-16LE':
      return Uint8Array.from(Buffer.from(text, 'utf16le'))
    case 'UTF-16BE':
      return swapped(Buffer.from(text, 'utf16le'))
    case 'UTF-16':
      return text === '' ? new Uint8Array(0) : Uint8Array.from([0xfe, 0xff, ...swapped(Buffer.from(text, 'utf16le'))])
    case 'UTF-32': {
      const view = new DataView(new ArrayBuffer([...text].length * 4))
      ;[...text].forEach((c, i) => {
        view.setUint32(4 * i, c.codePointAt(0) as number)
      })
      return new Uint8Array(view.buffer)
    }
    default: {
      const limit = set === 'US-ASCII' ? 0x7f : 0xff
      if ([...text].some((c) => (c.codePointAt(0) as number) > limit)) unmappable('encode', set)
      return Uint8Array.from(Buffer.from(text, 'latin1'))
    }
  }
}

function decode(bytes: Uint8Array, name: string): string {
  const set = characterSet('decode', name)
  if (set === 'US-ASCII' && bytes.some((b) => b > 0x7f)) unmappable('decode', set)
  if (set === 'ISO-8859-1' || set === 'US-ASCII') return Buffer.from(bytes).toString('latin1')
  if (set === 'UTF-16LE') return Buffer.from(bytes).toString('utf16le')
  if (set === 'UTF-16BE' || set === 'UTF-16') {
    const text = Buffer.from(swapped(bytes)).toString('utf16le')
    return set === 'UTF-16' ? text.replace(/^\ufeff/, '') : text
  }
  if (set === 'UTF-32') {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return Array.from({ length: bytes.length >> 2 }, (_, i) => String.fromCodePoint(view.getUint32(4 * i))).join('')
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes))
  } catch {
    return unmappable('decode', set)
  }
}

/** Form encoding: a space is a plus, `*-._` stay. */
function urlEncode(text: string): string {
  return encodeURIComponent(
    text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '?'),
  )
    .replace(/[!'()~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
}

function urlDecoded(text: string): string | undefined {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return undefined
  const bytes = text
    .replaceAll('+', ' ')
    .replace(/(?:%[0-9a-fA-F]{2})+/g, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'))
  return bytes
}

function urlDecode(text: string): string {
  const decoded = urlDecoded(text)
  if (decoded !== undefined) return decoded
  throw new MillraceError('CANNOT_DECODE_URL', 'the text is no encoded URL', {
    detail: `found ${JSON.stringify(text.slice(0, 100))}`,
    hint: 'use tryUrlDecode, which gives null',
  })
}

const urlParts = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s

function parseUrl(url: string, part: string, key?: string): string | null {
  // Java's URI refuses what must be escaped.
  const match = /[\s<>"{}|\\^`]|%(?![0-9a-fA-F]{2})/.test(url) ? null : urlParts.exec(url)
  if (match === null) {
    throw new MillraceError('INVALID_URL', 'the text is no URL', {
      detail: `found ${JSON.stringify(url.slice(0, 100))}`,
      hint: 'use tryParseUrl, which gives null',
    })
  }
  const [, scheme, authority, path = '', query, fragment] = match
  const [, userInfo, host] = /^(?:([^@]*)@)?(\[[^\]]*\]|[^:]*)(?::\d*)?$/.exec(authority ?? '') ?? []
  if (key !== undefined && part !== 'QUERY') return null
  switch (part) {
    case 'PROTOCOL':
      return scheme ?? null
    case 'HOST':
      return host === undefined || host === '' ? null : host
    case 'PATH':
      return path
    case 'QUERY':
      if (key === undefined || query === undefined) return query ?? null
      return (
        query
          .split('&')
          .find((pair) => pair.startsWith(`${key}=`))
          ?.slice(key.length + 1) ?? null
      )
    case 'REF':
      return fragment ?? null
    case 'FILE':
      return query === undefined ? path : `${path}?${query}`
    case 'AUTHORITY':
      return authority ?? null
    case 'USERINFO':
      return userInfo ?? null
    default:
      return null
  }
}

/** Null leaves the characters of that sort as they are. */
function mask(
  text: string | null,
  upper: string | null = 'X',
  lower: string | null = 'x',
  digit: string | null = 'n',
  other: string | null = null,
): string | null {
  if (text === null) return null
  let result = ''
  for (const c of text) {
    if (/\p{Lu}/u.test(c)) result += upper ?? c
    else if (/\p{Ll}/u.test(c)) result += lower ?? c
    else if (/\p{Nd}/u.test(c)) result += digit ?? c
    else result += other ?? c
  }
  return result
}

const soundCodes = '01230120022455012623010202'

/** American Soundex, of texts that begin with a Latin letter; all others stay as they are. */
function soundex(text: string): string {
  const first = text[0]?.toUpperCase() ?? ''
  if (!/^[A-Z]$/.test(first)) return text
  let result = first
  let last = soundCodes[first.charCodeAt(0) - 65]
  for (let i = 1; i < text.length && result.length < 4; i++) {
    const c = (text[i] as string).toUpperCase()
    if (!/^[A-Z]$/.test(c)) {
      last = '0'
      continue
    }
    const code = soundCodes[c.charCodeAt(0) - 65] as string
    // H and W between two letters of one sound do not part them.
    if (c === 'H' || c === 'W') continue
    if (code !== '0' && code !== last) result += code
    last = code
  }
  return result.padEnd(4, '0')
}

const elt: MakeKernel =
  (_first, _call, ansi) =>
  (n: number | null, ...texts: Value[]) => {
    if (n === null) return null
    if (n >= 1 && n <= texts.length) return texts[n - 1] ?? null
    if (!ansi) return null
    throw new MillraceError('INVALID_ARRAY_INDEX', `elt() has no text ${n}`, {
      detail: `there are ${texts.length}`,
      hint: 'texts are counted from 1',
    })
  }

function findInSet(word: string, list: string): number {
  return word.includes(',') ? 0 : list.split(',').indexOf(word) + 1
}

function overlay(text: string, part: string, position: number, length = -1): string {
  const points = [...text]
  const over = length >= 0 ? length : [...part].length
  const before = points.slice(0, Math.max(0, position - 1)).join('')
  return before + part + points.slice(Math.max(0, position - 1 + over)).join('')
}

function luhnCheck(text: string): boolean {
  if (!/^\d+$/.test(text)) return false
  let sum = 0
  ;[...text].reverse().forEach((c, i) => {
    const digit = Number(c) * (i % 2 === 0 ? 1 : 2)
    sum += digit > 9 ? digit - 9 : digit
  })
  return sum % 10 === 0
}

/** Base 64 as Java's MIME decoder reads it: what is no digit of it is passed over. */
function unbase64(text: string): Uint8Array {
  const digits = text.replace(/[^A-Za-z0-9+/]/g, '')
  if (digits.length % 4 === 1) {
    throw new MillraceError('CONVERSION_INVALID_INPUT', 'the text is not in base 64', {
      detail: `found ${JSON.stringify(text.slice(0, 100))}`,
      hint: 'mend it, or use tryToBinary, which gives null',
    })
  }
  return Uint8Array.from(Buffer.from(digits, 'base64'))
}

/** A text by a picture of digits (`9` and `0`), groups (`,` `G`), the point (`.` `D`), sign and currency. */
function toNumber(strict: boolean): (text: string, picture: string) => bigint | null {
  return (text, picture) => {
    const trimmed = text.trim()
    const format = picture.toUpperCase()
    const negative = /^-|^<.*>$|-$/.test(trimmed)
    const signAllowed = /S|MI|PR/.test(format)
    const body = trimmed
      .replace(/^[-+]|[-+]$|^<|>$/g, '')
      .replace(format.includes('$') || format.includes('L') ? /^\$/ : /^(?!)/, '')
    const [whole = '', fraction = ''] = format
      .replace(/S|MI|PR|\$|L/g, '')
      .replace('D', '.')
      .replaceAll('G', ',')
      .split('.')
    const [wholeText = '', fractionText = '', ...more] = body.split('.')
    const groups = (part: string): string => part.replace(/[09]/g, 'd')
    const fits =
      more.length === 0 &&
      (!negative || signAllowed) &&
      /^[\d,]*$/.test(wholeText) &&
      /^\d*$/.test(fractionText) &&
      fractionText.length <= fraction.length &&
      wholeText.replace(/\d/g, 'd').length <= whole.length &&
      groups(whole).endsWith(wholeText.replace(/\d/g, 'd')) &&
      (wholeText + fractionText).length > 0
    if (!fits) {
      if (!strict) return null
      throw new MillraceError(
        'INVALID_FORMAT.MISMATCH_INPUT',
        `${JSON.stringify(text)} does not fit the format ${JSON.stringify(picture)}`,
        {
          detail: `found ${JSON.stringify(text)}`,
          hint: 'use tryToNumber, which gives null',
        },
      )
    }
    const digits = BigInt(`${wholeText.replaceAll(',', '')}${fractionText.padEnd(fraction.length, '0')}` || '0')
    return negative ? -digits : digits
  }
}

export const textCodeKernels: KernelTable = {
  ilike: plain(patterns.ilike),
  regexpInstr: plain(patterns.regexpInstr),
  regexpSubstr: plain(patterns.regexpSubstr),
  regexpExtractAll: plain(patterns.regexpExtractAll),
  encode: plain(encode),
  decode: plain(decode),
  unbase64: plain(unbase64),
  tryUnbase64: plain((text: string) => {
    try {
      return unbase64(text)
    } catch {
      return null
    }
  }),
  urlEncode: plain(urlEncode),
  urlDecode: plain(urlDecode),
  tryUrlDecode: plain((text: string) => urlDecoded(text) ?? null),
  parseUrl: plain(parseUrl),
  tryParseUrl: plain((url: string, part: string, key?: string) => {
    try {
      return parseUrl(url, part, key)
    } catch {
      return null
    }
  }),
  mask: plain(mask),
  soundex: plain(soundex),
  elt,
  findInSet: plain(findInSet),
  overlay: plain(overlay),
  luhnCheck: plain(luhnCheck),
  space: plain((n: number) => repeat(' ', n)),
  bitLength: (first) =>
    first.kind === 'binary' ? (v: Uint8Array) => v.length * 8 : (v: string) => Buffer.byteLength(v) * 8,
  toNumber: plain(toNumber(true)),
  tryToNumber: plain(toNumber(false)),
  formatString: (_first, call) => formatString(call.args.map((a) => a.type)),
  formatNumber: (first) => formatNumber(first),
}
