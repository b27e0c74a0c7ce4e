/* A source of volumes, the part that the API knows: proto/kinds/volume_words.c. */
#include "proto/kinds/volumes.h"

/* clang-format off */
SCHEMA(volume_schema_words, "WordsVolumeSource", "Words in one file.",
    STRING("text", "The words.", REQUIRED),
    STRING("configMap", "Where more of them are.", KEY));
/* clang-format on */

static void check(const struct value *source, const struct volume_at *where, const struct fpath *p, struct errlist *l)
{
    (void)where;
    if (str_is(value_to_str(value_get(source, "text")), "nothing")) {
        bad_value(l, value_get(source, "text"), FPATH_AT(p, "text"), "must be something");
    }
}

static const struct ref_row refs[] = {{NULL, NULL, "configMap", "ConfigMap", REFERENCE_CONTENT, false}};

const struct volume_source volume_source_words = {.check = check, VOLUME_REFS(refs)};
