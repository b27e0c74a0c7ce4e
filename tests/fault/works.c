#include "tests/fault/works.h"

#include <string.h>

static const struct workload *const works[] = {&work_register, &work_append, &work_set,      &work_bank,
                                               &work_queue,    &work_watch,  &work_informer, &work_deploy};

const struct workload *workload_at(unsigned i)
{
    return i < ARRAY_SIZE(works) ? works[i] : NULL;
}

const struct workload *workload_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(works); i++) {
        if (strcmp(works[i]->name, name) == 0) {
            return works[i];
        }
    }
    return NULL;
}
