import { MillraceError } from '../common/errors.js'
import type { BoundLambda } from '../plan/expression.js'
import { checkedEntries, sorted } from './collections.js'
import type { BoundCall, KernelTable, LambdaFunction } from './kernel.js'
import { comparator, type Value } from './value.js'

/** Functions that take a function. They see nulls: what a lambda uses from outside is among their arguments. */

type Item = Value | null
type Items = readonly Item[]
type Entries = readonly (readonly [Value, Item])[]

/** Lambda `i` as a function of its parameters alone, over the arguments of one call. */
function closed(
  call: BoundCall,
  lambdas: readonly LambdaFunction[],
  i: number,
): (args: Items) => (...values: Item[]) => Item {
  const { parameters, firstCaptured, captured } = (call.lambdas ?? [])[i] as BoundLambda
  const run = lambdas[i] as LambdaFunction
  return (args) => {
    const outer = args.slice(firstCaptured, firstCaptured + captured)
    return (...values) => run([...values.slice(0, parameters), ...outer])
  }
}

/** True where a test holds, null where none does but one is open. */
function anyHolds(values: Items, test: (value: Item) => Item, wanted: boolean): boolean | null {
  let open = false
  for (const value of values) {
    const result = test(value)
    if (result === wanted) return wanted
    if (result === null) open = true
  }
  return open ? null : !wanted
}

export const lambdaKernels: KernelTable = {
  transform: (_first, call, _ansi, lambdas) => {
    const lambda = closed(call, lambdas, 0)
    return (...args: [Items | null]) => {
      const f = lambda(args)
      return args[0] === null ? null : args[0].map((value, i) => f(value, i))
    }
  },
  filter: (_first, call, _ansi, lambdas) => {
    const lambda = closed(call, lambdas, 0)
    return (...args: [Items | null]) => {
      const f = lambda(args)
      return args[0] === null ? null : args[0].filter((value, i) => f(value, i) === true)
    }
  },
  exists: (_first, call, _ansi, lambdas) => {
    const lambda = closed(call, lambdas, 0)
    return (...args: [Items | null]) => (args[0] === null ? null : anyHolds(args[0], lambda(args), true))
  },
  forall: (_first, call, _ansi, lambdas) => {
    const lambda = closed(call, lambdas, 0)
    return (...args: [Items | null]) => (args[0] === null ? null : anyHolds(args[0], lambda(args), false))
  },
  aggregate: (_first, call, _ansi, lambdas) => {
    const merge = closed(call, lambdas, 0)
    const finish = lambdas.length > 1 ? closed(call, lambdas, 1) : undefined
    return (...args: [Items | null, Item]) => {
      if (args[0] === null) return null
      const f = merge(args)
      let held = args[1]
      for (const value of args[0]) held = f(held, value)
      return finish === undefined ? held : finish(args)(held)
    }
  },
  zipWith: (_first, call, _ansi, lambdas) => {
    const lambda = closed(call, lambdas, 0)
    return (...args: [Items | null, Items | null]) => {
      const [a, b] = args
      if (a === null || b === null) return null
      const f = lambda(args as unknown as Items)
      return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => f(a[i] ?? null, b[i] ?? null))
    }
  },
  arraySort: (first, call, _ansi, lambdas) => {
    if (lambdas.length === 0) {
      const element = first.kind === 'array' ? first.element : first
      return (values: Items | null) => (values === null ? null : sorted(element, values, false, false))
    }
    const lambda = closed(call, lambdas, 0)
    return (...args: [Items | null]) => {
      const f = lambda(args)
      return args[0] === null ? null : [...args[0]].sort((a, b) => ordered(f(a, b)))
    }
  },
  mapFilter: (_first, call, _ansi, lambdas) => {
    const lambda = closed(call, lambdas, 0)
    return (...args: [Entries | null]) => {
      const f = lambda(args)
      return args[0] === null ? null : args[0].filter(([key, value]) => f(key, value) === true)
    }
  },
  transformValues: (_first, call, _ansi, lambdas) => {
    const lambda = closed(call, lambdas, 0)
    return (...args: [Entries | null]) => {
      const f = lambda(args)
      return args[0] === null ? null : args[0].map(([key, value]) => [key, f(key, value)])
    }
  },
  transformKeys: (_first, call, _ansi, lambdas) => {
    const lambda = closed(call, lambdas, 0)
    return (...args: [Entries | null]) => {
      const f = lambda(args)
      if (args[0] === null) return null
      return checkedEntries(
        call.type,
        args[0].map(([key, value]) => [f(key, value), value]),
      )
    }
  },
  mapZipWith: (first, call, _ansi, lambdas) => {
    const lambda = closed(call, lambdas, 0)
    const compare = comparator(first.kind === 'map' ? first.key : first) as (a: Value, b: Value) => number
    const valueAt = (entries: Entries, key: Value): Item => entries.find(([k]) => compare(k, key) === 0)?.[1] ?? null
    return (...args: [Entries | null, Entries | null]) => {
      const [a, b] = args
      if (a === null || b === null) return null
      const f = lambda(args as unknown as Items)
      const keys = a.map(([key]) => key)
      for (const [key] of b) if (!keys.some((k) => compare(k, key) === 0)) keys.push(key)
      return keys.map((key) => [key, f(key, valueAt(a, key), valueAt(b, key))])
    }
  },
}

function ordered(result: Item): number {
  if (typeof result === 'number') return result
  throw new MillraceError('COMPARATOR_RETURNS_NULL', 'the lambda that compares two elements gave null', {
    detail: 'found null, expected a number below, at or above 0',
    hint: 'give -1, 0 or 1 for every pair, also where an element is null',
  })
}
