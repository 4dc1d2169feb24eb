import { Column } from '../../dist/api/column.js'
import type { DataFrame } from '../../dist/api/dataframe.js'
import * as functions from '../../dist/api/functions.js'
import type { JoinHow } from '../../dist/api/join-arguments.js'
import type { Operators, QueryCase } from './case-file.js'
import type { Argument, Node } from './expression-text.js'

/** The query of a case as calls of the public API, one for each line. */
export function buildQuery(input: DataFrame, operators: Operators, other?: DataFrame): DataFrame {
  let frame = input
  let keys: readonly Column<unknown, string>[] | undefined
  for (const { name, args } of operators) {
    switch (name) {
      case 'withWatermark':
        frame = frame.withWatermark(columnName(args[0]), String(literal(args[1])))
        break
      case 'filter':
        frame = frame.filter(column(first(args).value))
        break
      case 'select':
        frame = frame.select(...args.map(namedColumn))
        break
      case 'withColumn':
        frame = frame.withColumn(first(args).name ?? '', column(first(args).value))
        break
      case 'drop':
        frame = frame.drop(...args.map(columnName))
        break
      case 'distinct':
        frame = frame.distinct()
        break
      case 'dropDuplicates':
        frame = frame.dropDuplicates(...args.map(columnName))
        break
      case 'dropDuplicatesWithinWatermark':
        frame = frame.dropDuplicatesWithinWatermark(...args.map(columnName))
        break
      case 'union':
        frame = frame.union(otherOf(other))
        break
      case 'unionByName':
        frame = frame.unionByName(otherOf(other), { allowMissingColumns: args.length > 0 })
        break
      case 'join': {
        const [how, on] = args
        const condition = on?.value.kind === 'literal' ? String(literal(on)) : column(onlyValue(on))
        frame = frame.as('l').join(otherOf(other).as('r'), condition, literal(how) as JoinHow)
        break
      }
      case 'groupBy':
        keys = args.map(namedColumn)
        break
      case 'agg': {
        const aggregates = Object.fromEntries(args.map((arg) => [arg.name ?? '', column(arg.value)]))
        frame = keys === undefined ? frame.agg(aggregates) : frame.groupBy(...keys).agg(aggregates)
        keys = undefined
        break
      }
      case 'top': {
        const [count, ...order] = args
        frame = frame.groupBy(...(keys ?? [])).top(Number(literal(count)), ...order.map((arg) => column(arg.value)))
        keys = undefined
        break
      }
      case 'orderBy':
        frame = frame.orderBy(...args.map((arg) => column(arg.value)))
        break
      case 'limit':
        frame = frame.limit(Number(literal(args[0])))
        break
      default:
        throw new Error(`a case has no operator '${name}'`)
    }
  }
  return frame
}

/** The frame of a case over the topics of its inputs, `read` one by one. */
export function caseFrame({ operators, other }: QueryCase, inputs: readonly DataFrame[]): DataFrame {
  const [input, second] = inputs
  if (input === undefined) throw new Error('a case without an input')
  return buildQuery(input, operators, second === undefined ? undefined : buildQuery(second, other?.operators ?? []))
}

function otherOf(other: DataFrame | undefined): DataFrame {
  if (other === undefined) throw new Error("the case has no second input: 'schema2:' and 'input2:'")
  return other
}

function onlyValue(arg: Argument | undefined): Node {
  if (arg === undefined) throw new Error('an argument is missing')
  return arg.value
}

function first(args: readonly Argument[]): Argument {
  const [arg] = args
  if (arg === undefined) throw new Error('an argument is missing')
  return arg
}

function namedColumn(arg: Argument): Column<unknown, string> {
  const made = column(arg.value)
  return arg.name === undefined ? made : made.as(arg.name)
}

function columnName(arg: Argument | undefined): string {
  if (arg?.value.kind !== 'column') throw new Error('the name of a column is expected')
  return arg.value.name
}

function literal(arg: Argument | undefined): unknown {
  if (arg?.value.kind !== 'literal') throw new Error('a literal is expected')
  return arg.value.value
}

function column(node: Node): Column<unknown, string> {
  const made =
    node.kind === 'call'
      ? call(node.name, node.args)
      : node.kind === 'column'
        ? functions.col(node.name)
        : functions.lit(node.value)
  if (!(made instanceof Column)) throw new Error(`${JSON.stringify(node)} is no column`)
  return made
}

/** A function of functions.ts, else a method of the first argument. Literals are handed over as they are. */
function call(name: string, args: readonly Node[]): unknown {
  const own: unknown = Reflect.get(functions, name)
  const values = args.map((arg) => (arg.kind === 'literal' ? arg.value : column(arg)))
  if (typeof own === 'function') return Reflect.apply(own, undefined, values)
  const [self, ...rest] = args
  if (self === undefined) throw new Error(`there is no function '${name}'`)
  const target = column(self)
  const method: unknown = Reflect.get(target, name)
  if (typeof method !== 'function') throw new Error(`there is no function or method '${name}'`)
  return Reflect.apply(
    method,
    target,
    rest.map((arg) => (arg.kind === 'literal' ? arg.value : column(arg))),
  )
}
