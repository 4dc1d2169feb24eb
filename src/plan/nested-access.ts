import { arrayType, type DataType, typeName } from '../types/data-type.js'
import type { BoundExpression } from './expression.js'
import { boundLiteral, call, mismatch } from './function-spec.js'
import { types } from './type-rules.js'

/** The way into arrays, maps and structs: `a.b` is bound with it, by whatever stands before the point, and the families of functions check their arguments. */

export function arrayOf(fn: string, arg: BoundExpression | undefined): DataType & { kind: 'array' } {
  if (arg?.type.kind === 'array') return arg.type
  if (arg?.type.kind === 'void') return arrayType(types.void)
  throw mismatch(fn, `a ${arg === undefined ? 'nothing' : typeName(arg.type)} was given, an array was expected`)
}

export function mapOf(fn: string, arg: BoundExpression | undefined): DataType & { kind: 'map' } {
  if (arg?.type.kind === 'map') return arg.type
  throw mismatch(fn, `a ${arg === undefined ? 'nothing' : typeName(arg.type)} was given, a map was expected`)
}

/** A field of a struct by its name; of an array of structs the array of the field's values. */
export function fieldOf(from: BoundExpression, name: string): BoundExpression {
  if (from.type.kind === 'map') return bindMapValue(from, name)
  const struct = from.type.kind === 'array' ? from.type.element : from.type
  if (struct.kind !== 'struct') throw mismatch('getField', `a ${typeName(from.type)} has no field ${name}`)
  let index = struct.fields.findIndex((f) => f.name === name)
  if (index === -1) index = struct.fields.findIndex((f) => f.name.toLowerCase() === name.toLowerCase())
  const field = struct.fields[index]
  if (field === undefined)
    throw mismatch('getField', `there is no field ${name}; fields: ${struct.fields.map((f) => f.name).join(', ')}`)
  if (from.type.kind !== 'array')
    return { kind: 'field', arg: from, index, type: field.type, nullable: from.nullable || field.nullable }
  const type = arrayType(field.type, from.type.containsNull || field.nullable)
  return call('fieldOfEach', [from, boundLiteral(index, types.int)], type, from.nullable)
}

function bindMapValue(from: BoundExpression, name: string): BoundExpression {
  const { key, value } = mapOf('getField', from)
  if (key.kind !== 'string') throw mismatch('getField', `the keys of the map are ${typeName(key)}`)
  return call('mapValue', [from, boundLiteral(name, types.string)], value, true)
}
