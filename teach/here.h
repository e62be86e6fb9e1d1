/* Include after gradus.h: every operation called from then on tells a listening trace its source line and its text.
 * Knows the names of the public operations; without a trace each call costs one test more.
 * SPDX-License-Identifier: MIT
 *
 *     #include <gradus.h>
 *     #include "teach/here.h"
 *     ... gr_tanh(gr_mul(w, x)) ...        12  gr_mul(w, x)
 *
 * GR_VAR(w) labels a tensor with the name of its variable. */
#ifndef GRADUS_TEACH_HERE_H
#define GRADUS_TEACH_HERE_H

#include "ops/ops.h"
#include "teach/teach.h"

#define GR_VAR(x) gr_name((x), #x)
#define GR_HERE(call, text) gr_trace_here(call, text, __FILE__, __LINE__)

/* ---- tensor or number */
#undef gr_add
#undef gr_sub
#undef gr_mul
#undef gr_div
#undef gr_pow
#undef gr_maximum
#undef gr_minimum
#undef gr_eq
#undef gr_ne
#undef gr_lt
#undef gr_le
#undef gr_gt
#undef gr_ge
#undef gr_where
#define GR_HERE2(f, text, a, b) GR_HERE(f(GR_OPERAND(a), GR_OPERAND(b)), text)
#define gr_add(a, b) GR_HERE2(gr_add_any, "gr_add(" #a ", " #b ")", a, b)
#define gr_sub(a, b) GR_HERE2(gr_sub_any, "gr_sub(" #a ", " #b ")", a, b)
#define gr_mul(a, b) GR_HERE2(gr_mul_any, "gr_mul(" #a ", " #b ")", a, b)
#define gr_div(a, b) GR_HERE2(gr_div_any, "gr_div(" #a ", " #b ")", a, b)
#define gr_pow(a, b) GR_HERE2(gr_pow_any, "gr_pow(" #a ", " #b ")", a, b)
#define gr_maximum(a, b) GR_HERE2(gr_maximum_any, "gr_maximum(" #a ", " #b ")", a, b)
#define gr_minimum(a, b) GR_HERE2(gr_minimum_any, "gr_minimum(" #a ", " #b ")", a, b)
#define gr_eq(a, b) GR_HERE2(gr_eq_any, "gr_eq(" #a ", " #b ")", a, b)
#define gr_ne(a, b) GR_HERE2(gr_ne_any, "gr_ne(" #a ", " #b ")", a, b)
#define gr_lt(a, b) GR_HERE2(gr_lt_any, "gr_lt(" #a ", " #b ")", a, b)
#define gr_le(a, b) GR_HERE2(gr_le_any, "gr_le(" #a ", " #b ")", a, b)
#define gr_gt(a, b) GR_HERE2(gr_gt_any, "gr_gt(" #a ", " #b ")", a, b)
#define gr_ge(a, b) GR_HERE2(gr_ge_any, "gr_ge(" #a ", " #b ")", a, b)
#define gr_where(c, a, b) GR_HERE(gr_where_any(c, GR_OPERAND(a), GR_OPERAND(b)), "gr_where(" #c ", " #a ", " #b ")")

/* ---- functions: a macro does not expand itself again */
#define gr_apply(...) GR_HERE(gr_apply(__VA_ARGS__), "gr_apply(" #__VA_ARGS__ ")")
#define gr_neg(...) GR_HERE(gr_neg(__VA_ARGS__), "gr_neg(" #__VA_ARGS__ ")")
#define gr_exp(...) GR_HERE(gr_exp(__VA_ARGS__), "gr_exp(" #__VA_ARGS__ ")")
#define gr_log(...) GR_HERE(gr_log(__VA_ARGS__), "gr_log(" #__VA_ARGS__ ")")
#define gr_sqrt(...) GR_HERE(gr_sqrt(__VA_ARGS__), "gr_sqrt(" #__VA_ARGS__ ")")
#define gr_sin(...) GR_HERE(gr_sin(__VA_ARGS__), "gr_sin(" #__VA_ARGS__ ")")
#define gr_cos(...) GR_HERE(gr_cos(__VA_ARGS__), "gr_cos(" #__VA_ARGS__ ")")
#define gr_tanh(...) GR_HERE(gr_tanh(__VA_ARGS__), "gr_tanh(" #__VA_ARGS__ ")")
#define gr_sigmoid(...) GR_HERE(gr_sigmoid(__VA_ARGS__), "gr_sigmoid(" #__VA_ARGS__ ")")
#define gr_relu(...) GR_HERE(gr_relu(__VA_ARGS__), "gr_relu(" #__VA_ARGS__ ")")
#define gr_abs(...) GR_HERE(gr_abs(__VA_ARGS__), "gr_abs(" #__VA_ARGS__ ")")
#define gr_sign(...) GR_HERE(gr_sign(__VA_ARGS__), "gr_sign(" #__VA_ARGS__ ")")
#define gr_square(...) GR_HERE(gr_square(__VA_ARGS__), "gr_square(" #__VA_ARGS__ ")")
#define gr_reciprocal(...) GR_HERE(gr_reciprocal(__VA_ARGS__), "gr_reciprocal(" #__VA_ARGS__ ")")
#define gr_expm1(...) GR_HERE(gr_expm1(__VA_ARGS__), "gr_expm1(" #__VA_ARGS__ ")")
#define gr_log1p(...) GR_HERE(gr_log1p(__VA_ARGS__), "gr_log1p(" #__VA_ARGS__ ")")
#define gr_erf(...) GR_HERE(gr_erf(__VA_ARGS__), "gr_erf(" #__VA_ARGS__ ")")
#define gr_gelu(...) GR_HERE(gr_gelu(__VA_ARGS__), "gr_gelu(" #__VA_ARGS__ ")")
#define gr_silu(...) GR_HERE(gr_silu(__VA_ARGS__), "gr_silu(" #__VA_ARGS__ ")")
#define gr_softplus(...) GR_HERE(gr_softplus(__VA_ARGS__), "gr_softplus(" #__VA_ARGS__ ")")
#define gr_clamp(...) GR_HERE(gr_clamp(__VA_ARGS__), "gr_clamp(" #__VA_ARGS__ ")")
#define gr_astype(...) GR_HERE(gr_astype(__VA_ARGS__), "gr_astype(" #__VA_ARGS__ ")")
#define gr_bce_with_logits(...) GR_HERE(gr_bce_with_logits(__VA_ARGS__), "gr_bce_with_logits(" #__VA_ARGS__ ")")
#define gr_argmax(...) GR_HERE(gr_argmax(__VA_ARGS__), "gr_argmax(" #__VA_ARGS__ ")")
#define gr_argmin(...) GR_HERE(gr_argmin(__VA_ARGS__), "gr_argmin(" #__VA_ARGS__ ")")
#define gr_softmax(...) GR_HERE(gr_softmax(__VA_ARGS__), "gr_softmax(" #__VA_ARGS__ ")")
#define gr_log_softmax(...) GR_HERE(gr_log_softmax(__VA_ARGS__), "gr_log_softmax(" #__VA_ARGS__ ")")
#define gr_broadcast_to(...) GR_HERE(gr_broadcast_to(__VA_ARGS__), "gr_broadcast_to(" #__VA_ARGS__ ")")
#define gr_sum_to(...) GR_HERE(gr_sum_to(__VA_ARGS__), "gr_sum_to(" #__VA_ARGS__ ")")
#define gr_reshape(...) GR_HERE(gr_reshape(__VA_ARGS__), "gr_reshape(" #__VA_ARGS__ ")")
#define gr_permute(...) GR_HERE(gr_permute(__VA_ARGS__), "gr_permute(" #__VA_ARGS__ ")")
#define gr_transpose(...) GR_HERE(gr_transpose(__VA_ARGS__), "gr_transpose(" #__VA_ARGS__ ")")
#define gr_unsqueeze(...) GR_HERE(gr_unsqueeze(__VA_ARGS__), "gr_unsqueeze(" #__VA_ARGS__ ")")
#define gr_squeeze(...) GR_HERE(gr_squeeze(__VA_ARGS__), "gr_squeeze(" #__VA_ARGS__ ")")
#define gr_flatten(...) GR_HERE(gr_flatten(__VA_ARGS__), "gr_flatten(" #__VA_ARGS__ ")")
#define gr_contiguous(...) GR_HERE(gr_contiguous(__VA_ARGS__), "gr_contiguous(" #__VA_ARGS__ ")")
#define gr_select(...) GR_HERE(gr_select(__VA_ARGS__), "gr_select(" #__VA_ARGS__ ")")
#define gr_cat(...) GR_HERE(gr_cat(__VA_ARGS__), "gr_cat(" #__VA_ARGS__ ")")
#define gr_stack(...) GR_HERE(gr_stack(__VA_ARGS__), "gr_stack(" #__VA_ARGS__ ")")
#define gr_gather(...) GR_HERE(gr_gather(__VA_ARGS__), "gr_gather(" #__VA_ARGS__ ")")
#define gr_scatter_add(...) GR_HERE(gr_scatter_add(__VA_ARGS__), "gr_scatter_add(" #__VA_ARGS__ ")")
#define gr_index_select(...) GR_HERE(gr_index_select(__VA_ARGS__), "gr_index_select(" #__VA_ARGS__ ")")
#define gr_index_add(...) GR_HERE(gr_index_add(__VA_ARGS__), "gr_index_add(" #__VA_ARGS__ ")")
#define gr_embedding(...) GR_HERE(gr_embedding(__VA_ARGS__), "gr_embedding(" #__VA_ARGS__ ")")
#define gr_masked_fill(...) GR_HERE(gr_masked_fill(__VA_ARGS__), "gr_masked_fill(" #__VA_ARGS__ ")")
#define gr_masked_softmax(...) GR_HERE(gr_masked_softmax(__VA_ARGS__), "gr_masked_softmax(" #__VA_ARGS__ ")")
#define gr_matmul(...) GR_HERE(gr_matmul(__VA_ARGS__), "gr_matmul(" #__VA_ARGS__ ")")
#define gr_lstm_steps(...) GR_HERE(gr_lstm_steps(__VA_ARGS__), "gr_lstm_steps(" #__VA_ARGS__ ")")
#define gr_addmm(...) GR_HERE(gr_addmm(__VA_ARGS__), "gr_addmm(" #__VA_ARGS__ ")")
#define gr_cross_entropy_rows(...) GR_HERE(gr_cross_entropy_rows(__VA_ARGS__), "gr_cross_entropy_rows(" #__VA_ARGS__ ")")

/* ---- with options */
#undef gr_sum
#undef gr_mean
#undef gr_prod
#undef gr_max
#undef gr_min
#undef gr_logsumexp
#undef gr_slice
#undef gr_layer_norm
#undef gr_conv2d
#undef gr_conv_transpose2d
#undef gr_max_pool2d
#undef gr_argmax_pool2d
#undef gr_avg_pool2d
#undef gr_scaled_dot_product_attention
#define GR_HERE_REDUCE(f, text, ...) GR_HERE(GR_OPT1(f, gr_reduce_opts, __VA_ARGS__), text)
#define gr_sum(...) GR_HERE_REDUCE(gr_sum_with, "gr_sum(" #__VA_ARGS__ ")", __VA_ARGS__)
#define gr_mean(...) GR_HERE_REDUCE(gr_mean_with, "gr_mean(" #__VA_ARGS__ ")", __VA_ARGS__)
#define gr_prod(...) GR_HERE_REDUCE(gr_prod_with, "gr_prod(" #__VA_ARGS__ ")", __VA_ARGS__)
#define gr_max(...) GR_HERE_REDUCE(gr_max_with, "gr_max(" #__VA_ARGS__ ")", __VA_ARGS__)
#define gr_min(...) GR_HERE_REDUCE(gr_min_with, "gr_min(" #__VA_ARGS__ ")", __VA_ARGS__)
#define gr_logsumexp(...) GR_HERE_REDUCE(gr_logsumexp_with, "gr_logsumexp(" #__VA_ARGS__ ")", __VA_ARGS__)
#define gr_layer_norm(...) GR_HERE(GR_OPT1(gr_layer_norm_with, gr_layer_norm_opts, __VA_ARGS__), "gr_layer_norm(" #__VA_ARGS__ ")")
#define gr_slice(...) GR_HERE(GR_OPT4(gr_slice_with, gr_slice_opts, __VA_ARGS__), "gr_slice(" #__VA_ARGS__ ")")
#define gr_conv2d(...) GR_HERE(GR_OPT2(gr_conv2d_with, gr_conv2d_opts, __VA_ARGS__), "gr_conv2d(" #__VA_ARGS__ ")")
#define gr_conv_transpose2d(...)                                                                                     \
    GR_HERE(GR_OPT2(gr_conv_transpose2d_with, gr_conv2d_opts, __VA_ARGS__), "gr_conv_transpose2d(" #__VA_ARGS__ ")")
#define GR_HERE_POOL(f, text, ...) GR_HERE(GR_OPT1(f, gr_pool2d_opts, __VA_ARGS__), text)
#define gr_max_pool2d(...) GR_HERE_POOL(gr_max_pool2d_with, "gr_max_pool2d(" #__VA_ARGS__ ")", __VA_ARGS__)
#define gr_argmax_pool2d(...) GR_HERE_POOL(gr_argmax_pool2d_with, "gr_argmax_pool2d(" #__VA_ARGS__ ")", __VA_ARGS__)
#define gr_avg_pool2d(...) GR_HERE_POOL(gr_avg_pool2d_with, "gr_avg_pool2d(" #__VA_ARGS__ ")", __VA_ARGS__)
#define gr_scaled_dot_product_attention(...)                                                                         \
    GR_HERE(GR_OPT3(gr_scaled_dot_product_attention_with, gr_attention_opts, __VA_ARGS__), "gr_scaled_dot_product_attention(" #__VA_ARGS__ ")")

#endif
