/**
 * An embedded database in memory, one for each test file: it takes seconds to start, a schema in it takes none.
 */
import * as Embedded from "../../src/store/Embedded.ts"

export const layer = Embedded.layer({ directory: undefined, holder: "test" })
