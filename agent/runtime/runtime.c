#include "agent/runtime/runtime.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void runtime_spec_init(struct runtime_spec *s)
{
    memset(s, 0, sizeof *s);
    s->security.run_as_user = -1;
    s->security.run_as_group = -1;
}

void runtime_container_id(char out[RUNTIME_ID_MAX], const char *pod_uid, const char *name, unsigned attempt)
{
    int n = snprintf(out, RUNTIME_ID_MAX, "%s_%s_%u", pod_uid, name, attempt);
    assert(n > 0 && n < RUNTIME_ID_MAX);
}
