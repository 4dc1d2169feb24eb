import { present } from '../common/assert.js'
import { FunctionSource } from '../common/function-source.js'
import { children, expressionKey } from '../plan/bound-expression.js'
import type { BoundExpression, BoundLambda } from '../plan/expression.js'
import type { DataType } from '../types/data-type.js'
import { type CodeValue, grouped, literalText, materialize, orNull, placeholderText } from './code-value.js'
import type { BoundCall, Invocable, LambdaFunction } from './kernel.js'
import { kernelFor } from './kernels.js'

/**
 * What generated code knows at a place of it: the values of expressions that were computed there or further
 * out. Equal expressions are computed once; what was computed in a branch is forgotten at its end.
 */
export interface CompileOptions {
  readonly ansi: boolean
}

export class CodeEmitter {
  /** Values by the key of their expression, innermost branch last. */
  readonly #scopes: Map<string, CodeValue>[] = [new Map()]
  readonly #inputs = new Map<number, CodeValue>()

  constructor(
    readonly source: FunctionSource,
    readonly options: CompileOptions,
    private readonly compute: (expression: BoundExpression, emitter: CodeEmitter) => CodeValue,
  ) {}

  /** Every slot is declared before it is used, outside of every branch. */
  declareInput(slot: number, load: (slot: number) => CodeValue): void {
    if (!this.#inputs.has(slot)) this.#inputs.set(slot, load(slot))
  }

  value(expression: BoundExpression): CodeValue {
    if (expression.kind === 'literal') return this.#literal(expression)
    if (expression.kind === 'input') {
      const value = present(this.#inputs.get(expression.slot), `slot ${expression.slot}`)
      // What the analyzer has proved beats what the column says.
      return expression.nullable || value.isNull === 'false' ? value : { ...value, isNull: 'false' }
    }
    const key = expressionKey(expression)
    const known = this.#lookup(key)
    if (known !== undefined) return known
    const value = this.compute(expression, this)
    this.#remember(key, value)
    return value
  }

  #lookup(key: string): CodeValue | undefined {
    for (const scope of this.#scopes) {
      const value = scope.get(key)
      if (value !== undefined) return value
    }
    return undefined
  }

  #remember(key: string, value: CodeValue): void {
    this.#scopes[this.#scopes.length - 1]?.set(key, value)
  }

  /** A branch: what `body` computes is known only inside. */
  branch(open: string, body: () => void, close = '}'): void {
    this.source.block(
      open,
      () => {
        this.#scopes.push(new Map())
        body()
        this.#scopes.pop()
      },
      close,
    )
  }

  /** As a JavaScript value; a column that is bytes is decoded once per scope. */
  materialized(expression: BoundExpression): CodeValue {
    const value = this.value(expression)
    if (value.bytes === undefined && value.fields === undefined) return value
    const key = `text ${expressionKey(expression)}`
    const known = this.#lookup(key)
    if (known !== undefined) return known
    const text = materialize(this.source, value)
    this.#remember(key, text)
    return text
  }

  #literal(expression: BoundExpression & { kind: 'literal' }): CodeValue {
    const { value, type } = expression
    if (value === null) return { type, isNull: 'true', value: placeholderText(this.source, type) }
    return { type, isNull: 'false', value: literalText(this.source, value), literal: value }
  }

  /** The kernel of a call, its lambdas compiled to functions of their own. */
  kernel(call: BoundCall): Invocable {
    return kernelFor(
      call,
      this.options.ansi,
      (call.lambdas ?? []).map((lambda) => this.#lambda(lambda)),
    )
  }

  #lambda(lambda: BoundLambda): LambdaFunction {
    const source = new FunctionSource()
    const inner = new CodeEmitter(source, this.options, this.compute)
    const declare = (e: BoundExpression): void => {
      if (e.kind === 'input') inner.declareInput(e.slot, () => rowValue(source, e.slot, e.type))
      else for (const child of children(e)) declare(child)
    }
    declare(lambda.body)
    source.line(`return ${orNull(inner.materialized(lambda.body))};`)
    return source.compile<LambdaFunction>('lambda', ['row'])
  }

  /** A constant local, unless the text is a name already. */
  local(prefix: string, text: string): string {
    if (/^\w+$/.test(text)) return text
    const name = this.source.fresh(prefix)
    this.source.line(`const ${name} = ${text};`)
    return name
  }

  /** `call` where nothing is null. */
  guarded(type: DataType, isNull: string, makesNull: boolean, call: string): CodeValue {
    if (isNull === 'true') return { type, isNull, value: placeholderText(this.source, type) }
    if (isNull === 'false' && !makesNull) return { type, isNull, value: this.local('v', call) }
    const v = this.source.fresh('v')
    if (!makesNull) {
      this.source.line(`let ${v} = ${placeholderText(this.source, type)};`)
      this.source.line(`if (!${grouped(isNull)}) ${v} = ${call};`)
      return { type, isNull: this.local('n', isNull), value: v }
    }
    const n = this.source.fresh('n')
    this.source.line(`let ${v} = ${placeholderText(this.source, type)}, ${n} = true;`)
    this.source.block(isNull === 'false' ? '' : `if (!${grouped(isNull)})`, () => {
      const result = this.source.fresh('r')
      this.source.line(`const ${result} = ${call};`)
      this.source.line(`if (${result} !== null) { ${v} = ${result}; ${n} = false; }`)
    })
    return { type, isNull: n, value: v }
  }

  /** Locals for a result that branches assign: null to begin with. */
  result(type: DataType): readonly [value: string, isNull: string] {
    const v = this.source.fresh('v')
    const n = this.source.fresh('n')
    this.source.line(`let ${v} = ${placeholderText(this.source, type)}, ${n} = true;`)
    return [v, n]
  }

  assign(result: CodeValue, v: string, n: string): void {
    if (result.isNull === 'true') {
      this.source.line(`${n} = true;`)
      return
    }
    const value = materialize(this.source, result)
    this.source.line(`${v} = ${value.value}; ${n} = ${value.isNull};`)
  }
}

/** Slot `slot` of a lambda's row, which holds evaluated values and nulls. */
function rowValue(source: FunctionSource, slot: number, type: DataType): CodeValue {
  const name = source.fresh('p')
  source.line(`const ${name}_null = row[${slot}] === null;`)
  source.line(`const ${name} = ${name}_null ? ${placeholderText(source, type)} : row[${slot}];`)
  return { type, isNull: `${name}_null`, value: name }
}
