#include "master/admission/row.h"

#include <assert.h>

#include "base/mem.h"
#include "master/admission/list.h"

#define X(name) extern const struct admission_row admission_##name;
ADMISSION_ROWS(X)
#undef X

const struct admission_row *const admission_rows[] = {
#define X(name) &admission_##name,
    ADMISSION_ROWS(X)
#undef X
        NULL};

static bool concerns(const struct admission_row *row, enum kind_id kind, enum admission_operations operation)
{
    bool any = row->kinds[0] == 0;
    for (unsigned i = 0; !any && i < ADMISSION_KINDS_MAX; i++) {
        any = row->kinds[i] == kind;
    }
    return any && (row->operations & operation) != 0;
}

static enum admission_operations operation_of(const struct admission_change *c)
{
    return c->before == NULL ? ADMISSION_CREATE : ADMISSION_UPDATE;
}

int admission_give(const struct admission *ad, struct admission_change *c, struct error *err)
{
    int rv = 0;
    assert(c->now == NULL);
    for (unsigned i = 0; rv == 0 && admission_rows[i] != NULL; i++) {
        const struct admission_row *row = admission_rows[i];
        bool status = c->part == TXN_PART_STATUS;
        if ((status ? row->give_status : row->give) != NULL && concerns(row, c->kind->id, operation_of(c))) {
            rv = status ? row->give_status(ad, c, err) : row->give(ad, c, err);
        }
    }
    return rv;
}

int admission_check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    int rv = 0;
    assert(c->now != NULL && (c->before == NULL) == (c->old == NULL));
    for (unsigned i = 0; rv == 0 && admission_rows[i] != NULL; i++) {
        const struct admission_row *row = admission_rows[i];
        if (row->check != NULL && concerns(row, c->kind->id, operation_of(c))) {
            rv = row->check(ad, c, err);
        }
    }
    return rv;
}

int admission_remove(const struct view *tip, const struct principal *who, const struct object *o, struct error *err)
{
    int rv = 0;
    for (unsigned i = 0; rv == 0 && admission_rows[i] != NULL; i++) {
        const struct admission_row *row = admission_rows[i];
        if (row->remove != NULL && concerns(row, o->kind->id, ADMISSION_DELETE)) {
            rv = row->remove(tip, who, o, err);
        }
    }
    return rv;
}

int admission_is_needed(const struct object *o, struct error *err)
{
    return error_set(err, ERR_FORBIDDEN, "%s \"%.*s\" can't be deleted: the cluster needs it", o->kind->singular,
                     STR_ARG(o->name));
}

const char *admission_kinds(struct arena *a, const struct admission_row *row)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (unsigned i = 0; row->kinds_told == NULL && i < ADMISSION_KINDS_MAX && row->kinds[i] != 0; i++) {
        buf_printf(&b, "%s%s", i > 0 ? ", " : "", kind_by_id(row->kinds[i])->plural);
    }
    return row->kinds_told != NULL ? row->kinds_told : arena_strdup(a, buf_cstr(&b));
}
