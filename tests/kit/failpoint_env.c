/* Linked into programs that tests start, and only there: arms the failpoints that REEVE_FAILPOINTS names, before
 * main. */
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"

__attribute__((constructor)) static void arm_from_environment(void)
{
    const char *text = getenv("REEVE_FAILPOINTS"), *bad = NULL;
    if (text != NULL && !failpoint_arm(text, &bad)) {
        fprintf(stderr, "REEVE_FAILPOINTS: cannot arm \"%s\"; known names:", bad);
        for (unsigned f = 0; f < FAILPOINT_COUNT; f++) {
            fprintf(stderr, " %s", failpoint_name((enum failpoint)f));
        }
        fputc('\n', stderr);
        exit(2);
    }
}
