"""The composing half of the fifteenth list: text, transformers and what makes or acts, as tutorials have it.

Written on 22 November 2026, 09:09 to 09:56 UTC, by somebody who had read the table of ailments with how it is judged,
the data's description, the eighth list's names with its readers and its runner, and of the fourteenth list its
beginning, the docstring of its supervised half, its data and its tables; but no rule of the doctor, no test of it and
no page of what it finds. The 26 programs are rebuilt from memory in our own words: makemore, char-RNN, nanoGPT, an
EmbeddingBag, multi-label comments, a BiLSTM tagger, word2vec, GloVe, BERT's task, a translator with attention, the
annotated Transformer, a Trainer's loop, two autoencoders, ViT, SimCLR, a VAE and a conditional one, DDPM, DCGAN, WGAN-
GP, DQN, REINFORCE, a GCN, a PINN, and the RNN cell of the tutorial on names. What each mistake is meant to be and by
what other names it may go was written down before it was run; none was run under a doctor. Seven programs give their
loss, seven tell held-out rows or numbers (four of them both), the others keep to the two lines. Read over at the end:
one other name was added (a mask turned round may be a Transformer's fault) and said to be past cure.

Each healthy program was trained alone, seed 0, with its rate, a third and three times of it: neither is more than a
tenth better. Mended until that was so, or until it learnt: the bags (plain steps did not get there, Adam does), the GPT
(its weights began too small to leave pairs of letters), masked words (one layer, more rows a batch), the cleaner's and
the articles' rates (raised). The 24 awkward kin lose less than a tenth with seed 0. Of the 87 mistakes only seed 0 was
tried, but for a few: 81 are worse by a tenth at least, three are too good, and of three only the symptom is felt
(memory grows by 75 megabytes, a loader takes five times as long as the steps, a step grows longer with each). Seconds
were measured on two cores shared by three.

Dropped for want of harm: attention's softmax over the batch and the reader's rate hundredfold (translator), one episode
an update (pole), neighbours added and chances over the nodes (graph), the head replaced when the optimizer was made
(articles), a standard normal in makemore's first or last layer (made wider). A softmax over labels did too little; a
tight clip does nothing to Adam and went to plain steps. Half precision was too slow on a CPU for attention and went to
the comments. Dropped because their like stands here: labels of another draw, German mixed by itself, a head of nine
tenths dropped, a rate of three tenths, a rate of a half among the balls, held-out noise added to bytes, a law's sign,
gradients of the forger, the end of its tanh, and a bonus for not deciding.

Made sharper: tied tables (six wide for three), the judge's rate (two hundredfold for sixtyfold).

Weak: the DCGAN's healthy score moves from 0.67 to 0.82 with the seed; the scores of masked words (0.24), articles
(0.64) and two views (0.40) are low in themselves; some mistakes are blunter than people's (biases a hundred wide, four
thousand rounds of neighbours, four batches of bytes, the decoder's rate hundredfold), and a target network never
renewed has no ailment of its own: it is called disconnected here. No mistake stands for oscillation, for what cannot
fit one batch, or for an idle device. Several that are said to be curable are so by somebody who knows the cause
(gradients to clear, batches to shuffle), not by a rate alone.
"""

from collections.abc import Callable

from benchmarks.doctor.apprentices import (
    composing_acts,
    composing_draws,
    composing_graphs,
    composing_letters,
    composing_pairs,
    composing_pictures,
    composing_rivals,
    composing_vectors,
    composing_words,
)
from benchmarks.doctor.loops.planted import Mistake

MODULES = (
    composing_letters, composing_words, composing_vectors, composing_pairs, composing_pictures, composing_draws,
    composing_rivals, composing_acts, composing_graphs,
)  # fmt: skip
LOOPS: dict[str, Callable[..., float]] = {each.__name__: each for module in MODULES for each in module.PROGRAMS}
AWKWARD: tuple[tuple[str, str], ...] = tuple(each for module in MODULES for each in module.AWKWARD)
MISTAKES: tuple[Mistake, ...] = tuple(each for module in MODULES for each in module.MISTAKES)
