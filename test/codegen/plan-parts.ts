export { unify } from '../../src/plan/function-spec.js'
export { castTo, decimal, isNested, types } from '../../src/plan/type-rules.js'
