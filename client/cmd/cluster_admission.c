/* rctl cluster show admission: what is done to objects on their way in. The masters know: theirs may be others. */
#include <string.h>

#include "client/cmd/cluster_config.h"
#include "client/cmd/common.h"
#include "proto/text/grid.h"

static void print_rows(struct rctl *r, struct mp rows)
{
    static const char *const head[] = {"NAME", "KINDS", "ON", "SETTING", "WHAT IT DOES"};
    enum { COLUMNS = ARRAY_SIZE(head) };
    const char **cells = arena_alloc(&r->arena, COLUMNS * ((size_t)mp_count(rows) + 1) * sizeof *cells);
    unsigned row = 1;
    memcpy(cells, head, sizeof head);
    for (struct mp_iter it = mp_iter(rows); mp_next(&it); row++) {
        struct str setting = mp_str(mp_get(it.value, "setting"));
        const char **line = cells + COLUMNS * row;
        line[0] = common_cstr(r, mp_str(mp_get(it.value, "name")));
        line[1] = common_cstr(r, mp_str(mp_get(it.value, "kinds")));
        line[2] = mp_bool(mp_get(it.value, "on"), true) ? "yes" : "no";
        line[3] = setting.n > 0 ? common_cstr(r, setting) : "-";
        line[4] = common_cstr(r, mp_str(mp_get(it.value, "help")));
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    grid_print(&out, cells, COLUMNS, row);
    rctl_write(r, &out);
}

int cluster_show_admission(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    if (rctl_connect(r, &err) != 0 || api_read(r->api, "admission", value_map(&r->arena), &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (opt(r, "output") != NULL) {
        struct mp m = reply.result;
        struct value *doc;
        if (msgpack_read_value(&r->arena, m.p, (size_t)(m.end - m.p), &doc, &err) != 0) {
            return rctl_fail(r, &err);
        }
        common_print_form(r, doc);
        return EXIT_DONE;
    }
    print_rows(r, mp_get(reply.result, "admission"));
    return EXIT_DONE;
}
