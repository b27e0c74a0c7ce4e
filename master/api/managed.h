/* Who manages which fields, kept while documents are let in (admission.c, apply.c). Inside of master/api. */
#ifndef MASTER_API_MANAGED_H
#define MASTER_API_MANAGED_H

#include "master/api/admission.h"
#include "proto/managed/managed.h"
#include "proto/patch/patch.h"

/* Who writes without a name of his own, over msgpack-RPC. */
#define API_MANAGER "rctl"
/* Above this a server-side apply keeps no copy of the manifest in the annotation of the client-side one. */
#define APPLY_REMEMBERED_MAX (128u << 10)

/* What is known before a document is checked. */
struct admit_managed {
    struct str stored;      /* the former version's, as bytes */
    struct managed managed; /* said: what the writer says of it, which counts instead */
    bool said, reset;       /* reset: nobody manages anything any more */
};
/* Takes it out of both documents (before NULL: a create). */
void admit_managed_take(const struct admission *ad, struct value *doc, struct value *before, struct admit_managed *out);
/* Puts it into the checked document, as the write leaves it. ERR_TOO_LARGE. */
int admit_managed_put(const struct admission *ad, const struct kind *k, struct value *doc, const struct value *before,
                      enum managed_part part, struct admit_managed *am, struct error *err);
/* Server-side apply: what config (checked) makes of current (NULL: nothing is there). *out is a document of its own, to
 * be let in with ad, which knows now who manages what. ERR_CONFLICT, ERR_INVALID. */
int admit_managed_apply(struct admission *ad, const struct kind *k, const struct value *current,
                        const struct value *config, bool status, bool force, struct value **out, struct error *err);

#endif
