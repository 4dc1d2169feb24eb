import { MillraceError } from '../common/errors.js'

/** What asks for an input that ends, or for one that does not, and has the other. */

export function neverEnds(action: string): MillraceError {
  return new MillraceError('STREAMING_ACTION', `${action}() needs an input that ends, and this DataFrame is a stream`, {
    detail: 'found mill.readStream, expected mill.read, createDataFrame or table',
    hint: 'start it with writeStream…start(), or read what is stored with mill.read instead of mill.readStream',
  })
}

export function endsAlready(): MillraceError {
  return new MillraceError('NOT_STREAMING', 'writeStream needs a stream, and the input of this DataFrame ends', {
    detail: 'found mill.read, createDataFrame or table, expected mill.readStream',
    hint: 'read it with mill.readStream, or take the result with collect(), show() or foreach()',
  })
}
