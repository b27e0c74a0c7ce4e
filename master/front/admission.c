/* admission: what is done to objects on their way in, in the order in which it is done (master/admission/row.h). */
#include "base/mem.h"
#include "master/admission/row.h"
#include "master/front/call.h"

static void write_row(struct buf *b, struct arena *a, const struct view *v, const struct admission_row *row)
{
    static const char *const words[] = {"create", "update", "delete"};
    bool on = true;
    const char *setting = row->setting == NULL ? NULL : row->setting(v, a, &on);
    unsigned operations = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        operations += (row->operations >> i) & 1;
    }
    bool changes = row->mutates;
    mp_write_map(b, 7u + (setting != NULL));
    mp_write_key_str(b, "name", str_of(row->name));
    mp_write_key_str(b, "kinds", str_of(admission_kinds(a, row)));
    mp_write_cstr(b, "operations");
    mp_write_array(b, operations);
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (row->operations & (1u << i)) {
            mp_write_cstr(b, words[i]);
        }
    }
    mp_write_key_str(b, "type", changes ? STR("mutating") : STR("validating"));
    mp_write_key_bool(b, "everybody", row->evaluated);
    mp_write_key_bool(b, "on", on);
    if (setting != NULL) {
        mp_write_key_str(b, "setting", str_of(setting));
    }
    mp_write_key_str(b, "help", str_of(row->help));
}

static void read_rows(struct call *c)
{
    const struct view *v = store_committed(replica_store(c->m->replica));
    struct buf b = BUF_INIT;
    unsigned count = 0;
    while (admission_rows[count] != NULL) {
        count++;
    }
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "admission");
    mp_write_array(&b, count);
    for (unsigned i = 0; i < count; i++) {
        write_row(&b, &c->e.arena, v, admission_rows[i]);
    }
    call_reply(c, &b);
    buf_close(&b);
}

static void method_admission(struct call *c)
{
    call_read(c, read_rows);
}

const struct method request_admission = {"admission", method_admission, 0, "stale"};
