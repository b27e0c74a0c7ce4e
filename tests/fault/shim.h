/* What the preloaded shim (shim.c) does to a master: a file that both map. The test writes, the shim reads at every
 * call; all zero = nothing. */
#ifndef TESTS_FAULT_SHIM_H
#define TESTS_FAULT_SHIM_H

#include <stdint.h>

struct shim_control {
    int32_t sync_errno;    /* fsync and fdatasync fail with it; what was written may be on the disk or not */
    int32_t write_errno;   /* kernel AIO (the log's segments): every completion says it; pwrite fails with it */
    int32_t sync_delay_ms; /* fsync and fdatasync take so much longer */
    /* completions of kernel AIO are seen so much later; the thread that asks stands still meanwhile */
    int32_t write_delay_ms;
    int64_t clock_offset_ms; /* the calendar, not CLOCK_MONOTONIC, is so far ahead */
    uint64_t faults;         /* counted by the shim: calls that it made fail or wait */
};
#define SHIM_ENVIRONMENT "REEVE_SHIM" /* names the file */

#endif
