import { MillraceError } from '../common/errors.js'

const forbidden = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * Names that a field may not have: they would change an object's nature instead of its content, or they
 * are the engine's own. `path` names the enclosing structs in the message.
 */
export function assertFieldName(name: string, path: readonly string[]): void {
  const where = path.length === 0 ? '' : ` in ${path.join('.')}`
  if (name === '')
    throw new MillraceError('FIELD_NAME_INVALID', `a field${where} has an empty name`, {
      detail: 'expected at least one character',
      hint: 'give it a name',
    })
  if (forbidden.has(name)) {
    throw new MillraceError('FIELD_NAME_INVALID', `a field${where} cannot be named "${name}"`, {
      detail: 'the name has a meaning of its own in every JavaScript object',
      hint: 'choose another name',
    })
  }
  if (name.startsWith('__')) {
    throw new MillraceError('FIELD_NAME_INVALID', `a field${where} cannot be named "${name}"`, {
      detail: 'names that start with two underscores are reserved for the engine (__key, __timestamp, …)',
      hint: 'choose a name without the two underscores',
    })
  }
}
