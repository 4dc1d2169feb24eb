import { parseModes } from '../connector/files/file-format.js'
import { invalidOption } from './unknown-name.js'

/** What the options of files may be, when they are read and when they are written. */
const WHOLE = /^[1-9]\d{0,14}$/

export function checkFileOption(name: string, value: string, streaming: boolean): void {
  switch (name) {
    case 'maxFilesPerTrigger':
    case 'maxBytesPerTrigger':
      if (!WHOLE.test(value)) throw invalidOption(name, value, 'a whole number from 1 on')
      if (!streaming) throw invalidOption(name, value, 'none: a batch reads everything', 'leave it out')
      return
    case 'latestFirst':
      // With the newest first there is no event time that could be said to have come.
      if (value !== 'false') throw invalidOption(name, value, `'false': files are read in the order of their times`)
      return
    case 'encoding':
      if (!/^utf-?8$/i.test(value)) throw invalidOption(name, value, 'UTF-8', 'convert the files')
      return
    case 'mode':
      if (!parseModes.some((mode) => mode === value.toUpperCase()))
        throw invalidOption(name, value, parseModes.join(', '))
      return
    case 'sep':
    case 'delimiter':
    case 'quote':
    case 'escape':
    case 'comment':
      checkCharacter(name, value)
      return
    case 'header':
    case 'enforceSchema':
    case 'multiLine':
    case 'ignoreLeadingWhiteSpace':
    case 'ignoreTrailingWhiteSpace':
    case 'ignoreNullFields':
    case 'quoteAll':
      if (!/^(true|false)$/i.test(value)) throw invalidOption(name, value, `'true' or 'false'`)
  }
}

function checkCharacter(name: string, value: string): void {
  const mayBeNone = name === 'quote' || name === 'escape'
  const code = value.charCodeAt(0)
  if (value.length === 1 ? code < 128 && code !== 10 && code !== 13 : value === '' && mayBeNone) return
  throw invalidOption(name, value, `one character of ASCII that ends no line${mayBeNone ? ', or none' : ''}`)
}
