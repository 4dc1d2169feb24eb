/**
 * The bits of a float as Java's doubleToLongBits and floatToIntBits give them: one NaN and no -0. The machine has many
 * NaNs (arithmetic on x86 makes one with its sign set), and a DataView writes the bits of the one that it was given.
 */
export function putDouble(view: DataView, value: number): void {
  if (value === value) view.setFloat64(0, value === 0 ? 0 : value)
  else {
    view.setInt32(0, 0x7ff80000)
    view.setInt32(4, 0)
  }
}

export function putFloat(view: DataView, value: number): void {
  if (value === value) view.setFloat32(0, value === 0 ? 0 : value)
  else view.setInt32(0, 0x7fc00000)
}
