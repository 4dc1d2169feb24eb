/** Processors of a module that the tests name. */
export class Totals {
  init(handle) {
    this.total = handle.getValueState('total', 'int')
  }

  handleInputRows(key, rows) {
    let total = this.total.get() ?? 0
    for (const row of rows) total += row.n
    this.total.update(total)
    return [{ ...key, total }]
  }

  handleInitialState(_key, row) {
    this.total.update(row.before)
  }
}

/** The same with another type of state. */
export const textTotals = {
  init(handle) {
    this.total = handle.getValueState('total', 'string')
  },
  handleInputRows(key) {
    this.total.update('many')
    return [{ ...key, total: 0 }]
  },
}

/** And one that gives up what was kept. */
export const forgetful = {
  init(handle) {
    handle.deleteIfExists('total')
    this.n = handle.getValueState('n', 'int')
  },
  handleInputRows(key, rows) {
    this.n.update((this.n.get() ?? 0) + rows.length)
    return [{ ...key, total: this.n.get() }]
  },
}

export const nothing = {}
