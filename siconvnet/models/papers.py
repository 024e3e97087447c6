"""The papers that the models come from: short citation and address."""

from __future__ import annotations

from typing import NamedTuple


class Paper(NamedTuple):
    citation: str
    url: str


ALTSTIDL = Paper("Altstidl et al. 2022", "https://arxiv.org/abs/2211.10288")
AFTER_ALTSTIDL = Paper("after Altstidl et al. 2022", ALTSTIDL.url)
BASTING = Paper("Basting et al. 2024", "https://www.scitepress.org/publishedPapers/2024/123798/pdf/index.html")
BEKKERS = Paper("Bekkers 2020", "https://arxiv.org/abs/1909.12057")
DISCO = Paper("Sosnovik et al. 2021", "https://arxiv.org/abs/2106.02733")
ESTEVES = Paper("Esteves et al. 2018", "https://arxiv.org/abs/1709.01889")
GHOSH = Paper("Ghosh, Gupta 2019", "https://arxiv.org/abs/1906.03861")
JADERBERG = Paper("Jaderberg et al. 2015", "https://arxiv.org/abs/1506.02025")
JANSSON = Paper("Jansson, Lindeberg 2022", "https://arxiv.org/abs/2106.06418")
KANAZAWA = Paper("Kanazawa et al. 2014", "https://arxiv.org/abs/1412.5104")
LINDEBERG = Paper("Lindeberg 2022", "https://arxiv.org/abs/2011.14759")
MARCOS = Paper("Marcos et al. 2018", "https://arxiv.org/abs/1807.11783")
PERZANOWSKI = Paper("Perzanowski, Lindeberg 2025", "https://arxiv.org/abs/2409.11140")
SESN = Paper("Sosnovik et al. 2020", "https://arxiv.org/abs/1910.11093")
WORRALL = Paper("Worrall, Welling 2019", "https://arxiv.org/abs/1905.11697")
XU = Paper("Xu et al. 2014", "https://arxiv.org/abs/1411.6369")
ZAGORUYKO = Paper("Zagoruyko, Komodakis 2016", "https://arxiv.org/abs/1605.07146")
ZHU = Paper("Zhu et al. 2019", "https://arxiv.org/abs/1909.11193")
