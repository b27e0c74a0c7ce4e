#include "agent/clean.h"

#include "agent/network/local.h"
#include "agent/network/overlay.h"
#include "agent/service/skeleton.h"
#include "base/mem.h"

int clean_node(struct error *err)
{
    static const char *const tables[] = {"reeve-pods", "reeve-flows", OVERLAY_TABLE}; /* agent/network */
    struct service_kernel *k = NULL;
    struct error e = {0}, routes = {0};
    int rc = service_kernel_open(&skeleton_table, &k, &e);
    for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(tables); i++) {
        rc = service_kernel_drop(k, tables[i], &e);
    }
    rc = rc != 0 ? rc : service_kernel_remove(k, &e);
    service_kernel_close(k);
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
