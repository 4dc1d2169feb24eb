/**
 * The door to the friendly side of the types: `t.struct({ name: t.string })`. The builders themselves are in t.ts, a module of
 * its own, so that `t.infer` and `t.string` come from one name without a TypeScript namespace.
 */
export * as t from './t.js'
export { type FieldTypes, SchemaType, StructSchema } from './t.js'
