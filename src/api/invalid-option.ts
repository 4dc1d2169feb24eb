import { MillraceError } from '../common/errors.js'

/** The answer to an option whose value nothing can be made of. */
export function invalidOption(name: string, found: string, expected: string, hint?: string): MillraceError {
  return new MillraceError('INVALID_OPTION', `option '${name}' is not valid`, {
    detail: `found '${found}', expected ${expected}`,
    hint: hint ?? 'mend the value, or leave the option out',
  })
}
