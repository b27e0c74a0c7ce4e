#include "controllers/registry.h"

#include <string.h>

#define CONTROLLER_ADDRESS(name) &controller_##name,

static const struct controller *const all[] = {CONTROLLERS(CONTROLLER_ADDRESS)};

const struct controller *const *controllers_all(unsigned *count)
{
    *count = ARRAY_SIZE(all);
    return all;
}

const struct controller *controller_by_name(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        if (strcmp(all[i]->name, name) == 0) {
            return all[i];
        }
    }
    return NULL;
}
