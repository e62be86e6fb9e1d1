/* Fashion-MNIST from its four files, in gzip or not. MNIST itself has the same names and format.
 * Knows no network: it fetches nothing.
 * SPDX-License-Identifier: MIT */
#include "io/bytes.h"

#include <errno.h>
#include <string.h>

#define DEFAULT_FOLDER "/usr/share/datasets/fashion-mnist"
#define PATH_LIMIT 1024

static bool there(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f;
}

/* folder/name.gz or folder/name, whichever is there */
static bool find(gr_ctx *c, char out[PATH_LIMIT], const char *dir, const char *name)
{
    int n = snprintf(out, PATH_LIMIT, "%s/%s.gz", dir, name);
    if (n < 0 || n >= PATH_LIMIT) {
        gr_fail(c, GR_EVALUE, "gr_fashion_mnist: the path of the folder is longer than %d bytes. Fix: use a shorter one", PATH_LIMIT - 32);
        return false;
    }
    if (there(out)) return true;
    out[n - 3] = '\0'; /* without ".gz" */
    if (there(out)) return true;
    gr_fail(c, GR_EIO, "gr_fashion_mnist: %s.gz: %s. Fix: apt-get install dataset-fashion-mnist, which puts the files into " DEFAULT_FOLDER
            ", or pass the folder that holds them", out, strerror(errno));
    return false;
}

static bool check(gr_ctx *c, const char *dir, const gr_tensor *x, const gr_tensor *y)
{
    if (gr_ndim(x) != 3 || gr_ndim(y) != 1 || gr_size(x, 0) != gr_size(y, 0)) {
        char a[256], b[256];
        gr__format_tensor_ref(a, sizeof a, x);
        gr__format_tensor_ref(b, sizeof b, y);
        gr_fail(c, GR_EFORMAT, "gr_fashion_mnist: %s holds pictures %s and labels %s. Fix: pass a folder with [n, height, width] and [n]", dir, a, b);
        return false;
    }
    const int64_t *label = gr_data(y);
    for (int64_t i = 0; i < gr_numel(y); i++)
        if (label[i] < 0 || label[i] > 9) {
            gr_fail(c, GR_EFORMAT, "gr_fashion_mnist: %s: label %lld of picture %lld is not 0 to 9. Fix: fetch the files again", dir,
                    (long long)label[i], (long long)i);
            return false;
        }
    return true;
}

gr_dataset gr_fashion_mnist(gr_ctx *c, const char *dir, bool train)
{
    char path[PATH_LIMIT];
    gr_dataset d = { 0 };
    if (gr_failed(c)) return d;
    if (!dir) dir = DEFAULT_FOLDER;
    if (find(c, path, dir, train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte"))
        d.x = gr_idx_read(c, path, .scale = 1 / 255.0, .dtype = c->dtype == GR_F64 ? GR_F64 : GR_F32);
    if (d.x && find(c, path, dir, train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte"))
        d.y = gr_idx_read(c, path, .dtype = GR_I64);
    return d.y && check(c, dir, d.x, d.y) ? d : (gr_dataset){ 0 };
}

const char *gr_fashion_mnist_class(int64_t label)
{
    static const char *const name[] = { "T-shirt/top", "trouser", "pullover", "dress", "coat",
                                        "sandal", "shirt", "sneaker", "bag", "ankle boot" };
    return label >= 0 && label < 10 ? name[label] : "";
}
