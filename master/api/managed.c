/* Who manages which fields of what users write (proto/managed): beside the document, on its way in.
 *
 * The system's own writers (controllers, nodes) write transactions themselves and do not come along here: what they
 * write nobody owns. */
#include "master/api/managed.h"

#include "proto/schema/release.h"
#include "proto/text/text.h"

static struct managed_writer writer_of(const struct admission *ad, enum managed_part part)
{
    return (struct managed_writer){
        .manager = ad->manager, .subresource = ad->subresource, .part = part, .now_s = env_wall_ms(ad->env) / 1000};
}

static struct str stored_of(struct value *metadata)
{
    const struct value *stored = value_get(metadata, MANAGED_MEMBER);
    return stored != NULL && stored->type == VALUE_BIN ? stored->str : STR_NONE;
}

void admit_managed_take(const struct admission *ad, struct value *doc, struct value *before, struct admit_managed *out)
{
    struct value *metadata = value_get(doc, "metadata"), *old = value_get(before, "metadata");
    struct value *said = value_get(metadata, "managedFields");
    *out = (struct admit_managed){.stored = stored_of(old)};
    value_remove(metadata, "managedFields");
    value_remove(metadata, MANAGED_MEMBER);
    value_remove(old, MANAGED_MEMBER);
    if (before == NULL || ad->subresource.n > 0) {
        return; /* what is new nobody has managed; a part is not the place to say it */
    }
    /* Clients that do not know of managers, or say of them what nobody can read, leave them alone. */
    out->reset = managed_is_reset(said);
    out->said = !out->reset && value_count(said) > 0 && managed_from_value(ad->arena, said, &out->managed, NULL) == 0 &&
                out->managed.count > 0;
}

static int put(const struct admission *ad, struct value *doc, struct str bytes, struct error *err)
{
    if (bytes.n > MANAGED_BYTES_MAX) {
        return error_set_field(err, ERR_TOO_LARGE, "metadata.managedFields",
                               "metadata.managedFields: Too long: who manages which fields takes %zu bytes; at most %u "
                               "are kept; write fewer fields, or by fewer managers",
                               bytes.n, MANAGED_BYTES_MAX);
    }
    value_set(ad->arena, value_get(doc, "metadata"), MANAGED_MEMBER, value_bin(ad->arena, bytes.p, bytes.n));
    return 0;
}

static int put_managed(const struct admission *ad, struct value *doc, const struct managed *m, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (m->count == 0) {
        return 0;
    }
    managed_write(&b, m);
    return put(ad, doc, buf_str(&b), err);
}

int admit_managed_put(const struct admission *ad, const struct kind *k, struct value *doc, const struct value *before,
                      enum managed_part part, struct admit_managed *am, struct error *err)
{
    if (ad->level < RELEASE_LEVEL_CARRIED || ad->manager.n == 0 || k->unowned) {
        return am->stored.n == 0 ? 0 : put(ad, doc, am->stored, err);
    }
    if (ad->applied != NULL) {
        return ad->applied_same && am->stored.n > 0 ? put(ad, doc, am->stored, err)
                                                    : put_managed(ad, doc, ad->applied, err);
    }
    if (am->reset) {
        return 0;
    }
    struct managed_writer w = writer_of(ad, part);
    if (!am->said) {
        (void)managed_read(ad->arena, am->stored, &am->managed);
    }
    if (!managed_note_update(k, ad->arena, &am->managed, before, doc, &w) && !am->said) {
        return am->stored.n == 0 ? 0 : put(ad, doc, am->stored, err);
    }
    return put_managed(ad, doc, &am->managed, err);
}

/* ---- Server-side apply ---- */

/* What the client-side apply of before has set: who goes over to server-side apply takes it without conflicts. Source:
 * Kubernetes, "Upgrading from client-side apply to server-side apply". */
static struct managed_set *last_applied(const struct admission *ad, const struct kind *k, const struct value *live)
{
    struct str text = value_to_str(value_get(value_path(live, "metadata.annotations"), APPLY_ANNOTATION));
    struct value *last = NULL;
    bool migrates = str_is(ad->manager, "kubectl") || str_is(ad->manager, API_MANAGER);
    if (!migrates || text.n == 0 || json_read(ad->arena, text, &last, NULL) != 0 ||
        kind_of_document(ad->arena, last, NULL) != k ||
        kind_check_fields(k, ad->arena, last, KIND_CHECK_LENIENT, NULL) != 0) {
        return NULL;
    }
    struct managed_set *s = arena_alloc(ad->arena, sizeof *s);
    *s = managed_of(k, ad->arena, MANAGED_SPEC, last);
    return s;
}

/* Tools that look at the annotation see what was applied last. */
static void remember(const struct admission *ad, struct value *next, const struct value *config)
{
    struct value *annotations = value_path(next, "metadata.annotations");
    struct str text = value_to_str(value_get(annotations, APPLY_ANNOTATION));
    if (text.n == 0 || !(str_is(ad->manager, "kubectl") || str_is(ad->manager, API_MANAGER))) {
        return;
    }
    struct value *now =
        value_get(value_path(patch_first_apply(ad->arena, config), "metadata.annotations"), APPLY_ANNOTATION);
    if (now != NULL && value_to_str(now).n <= APPLY_REMEMBERED_MAX) {
        value_set(ad->arena, annotations, APPLY_ANNOTATION, value_str(ad->arena, value_to_str(now)));
    } else {
        value_remove(annotations, APPLY_ANNOTATION);
    }
}

int admit_managed_apply(struct admission *ad, const struct kind *k, const struct value *current,
                        const struct value *config, bool status, bool force, struct value **out, struct error *err)
{
    enum managed_part part = status ? MANAGED_STATUS : MANAGED_SPEC;
    struct managed_writer w = writer_of(ad, part);
    struct managed *m = arena_alloc(ad->arena, sizeof *m);
    struct managed was;
    struct str stored = STR_NONE;
    struct value *live = NULL;
    if (current != NULL) {
        live = value_copy(ad->arena, current);
        stored = stored_of(value_get(live, "metadata"));
        value_remove(value_get(live, "metadata"), MANAGED_MEMBER);
        value_remove(value_get(live, "metadata"), "resourceVersion");
    }
    (void)managed_read(ad->arena, stored, m);
    was = *m;
    was.entries = was.count == 0 ? NULL : arena_memdup(ad->arena, m->entries, m->count * sizeof *m->entries);
    const struct managed_set *allowed = live == NULL || status ? NULL : last_applied(ad, k, live);
    int rc = managed_apply(k, ad->arena, m, live, config, &w, force, allowed, out, err);
    if (rc != 0) {
        return rc;
    }
    *out = value_copy(ad->arena, *out);
    if (live != NULL) {
        remember(ad, *out, config);
    }
    ad->applied = m;
    ad->applied_same = live != NULL && managed_same(&was, m);
    return 0;
}
