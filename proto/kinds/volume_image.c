/* image. */
#include "proto/kinds/volumes.h"

/* clang-format off */
SCHEMA(volume_schema_image, "ImageVolumeSource", "The files of an image, or of another artifact of a registry.",
    STRING("reference", "Name of the image."),
    STRING("pullPolicy", "When to fetch it. Always for the tag latest, else IfNotPresent.",
           ONE_OF("Always|Never|IfNotPresent")));
/* clang-format on */

/* In a template the reference may still be missing, as the image of a container may not. */
static void check_image(const struct value *source, const struct volume_at *where, const struct fpath *p,
                        struct errlist *l)
{
    if (!where->is_template && value_to_str(value_get(source, "reference")).n == 0) {
        bad_required(l, source, FPATH_AT(p, "reference"));
    }
}

static void fill_image(struct arena *a, struct value *source)
{
    if (value_to_str(value_get(source, "pullPolicy")).n == 0) {
        value_set(a, source, "pullPolicy",
                  value_cstr(a, image_pull_default(value_to_str(value_get(source, "reference")))));
    }
}

const struct volume_source volume_source_image = {
    .fill = fill_image,
    .check = check_image,
};
