#include "agent/clean.h"

#include "agent/network/local.h"
#include "agent/network/overlay.h"
#include "agent/policy/skeleton.h"
#include "agent/service/skeleton.h"
#include "base/mem.h"

int clean_node(struct error *err)
{
    static const char *const tables[] = {"reeve-pods", "reeve-flows", OVERLAY_TABLE}; /* agent/network */
    static const struct service_kernel_table *const versioned[] = {&skeleton_table, &policy_table};
    struct error e = {0}, routes = {0};
    int rc = 0;
    for (unsigned t = 0; rc == 0 && t < ARRAY_SIZE(versioned); t++) {
        struct service_kernel *k = NULL;
        rc = service_kernel_open(versioned[t], false, &k, &e);
        for (unsigned i = 0; rc == 0 && t == 0 && i < ARRAY_SIZE(tables); i++) {
            rc = service_kernel_drop(k, tables[i], &e);
        }
        rc = rc != 0 ? rc : service_kernel_remove(k, &e);
        service_kernel_close(k);
    }
    if (network_set_local(0, &routes) != 0 && rc == 0) {
        rc = routes.code;
        e = routes;
    }
    if (overlay_remove(&routes) != 0 && rc == 0) {
        rc = routes.code;
        e = routes;
    }
    return rc == 0 ? 0 : error_set(err, rc, "%s", e.message);
}
