import { MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'

/** The answer to a name that does not exist: all that do, and the one that was probably meant. */
export function unknownName(
  code: string,
  message: string,
  name: string,
  known: readonly string[],
  hintWhereNone?: string,
): MillraceError {
  return new MillraceError(code, message, {
    detail: known.length === 0 ? 'there is none' : `there is ${known.join(', ')}`,
    hint: nearestHint(name, known) ?? (known.length === 0 ? hintWhereNone : 'use one of these, by its exact name'),
  })
}

/** `did you mean 'console'?`, or nothing where every name is too far away. */
export function nearestHint(name: string, known: readonly string[]): string | undefined {
  const nearest = nearestName(name, known)
  return nearest === undefined ? undefined : `did you mean '${nearest}'?`
}

/** The answer to an option whose value nothing can be made of. */
export function invalidOption(name: string, found: string, expected: string, hint?: string): MillraceError {
  return new MillraceError('INVALID_OPTION', `option '${name}' is not valid`, {
    detail: `found '${found}', expected ${expected}`,
    hint: hint ?? 'mend the value, or leave the option out',
  })
}
