import { lazyModule } from '../common/lazy-module.js'

/** Parts of the clients that some programs never use: who only sends reads nothing, and what resumes a send that was not acknowledged is as rare as it is large. */
export const recordReading = lazyModule(import.meta.url, './record-reading.js', () => import('./record-reading.js'))
export const sendResuming = lazyModule(import.meta.url, './resend.js', () => import('./resend.js'))
