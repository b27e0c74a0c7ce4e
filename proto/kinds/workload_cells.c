/* Cells that the tables of several workloads have. */
#include "proto/kinds/workload.h"
#include "proto/schema/selector.h"

void workload_cell_desired(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_path(object_mp(o), "spec.replicas"));
}

void workload_cell_current(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_path(object_mp(o), "status.replicas"));
}

void workload_cell_ready(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_path(object_mp(o), "status.readyReplicas"));
}

void workload_cell_ready_of(struct buf *out, const struct object *o, int64_t now_ms)
{
    workload_cell_ready(out, o, now_ms);
    buf_putc(out, '/');
    workload_cell_desired(out, o, now_ms);
}

void workload_cell_updated(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_path(object_mp(o), "status.updatedReplicas"));
}

void workload_cell_available(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_path(object_mp(o), "status.availableReplicas"));
}

void workload_cell_names(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_containers(out, mp_path(object_mp(o), "spec.template.spec.containers"), "name");
}

void workload_cell_images(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_containers(out, mp_path(object_mp(o), "spec.template.spec.containers"), "image");
}

void workload_cell_selector(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct selector *s;
    if (selector_from_mp(&a, mp_path(object_mp(o), "spec.selector"), &s, NULL) != 0 || selector_empty(s)) {
        buf_puts(out, "<none>");
    } else {
        selector_write(out, s);
    }
}
