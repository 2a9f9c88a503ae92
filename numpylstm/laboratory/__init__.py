"""The laboratory: what proves gradients, shows them, and teaches them.

| To ...                                          | in                              |
|-------------------------------------------------|---------------------------------|
| prove a gradient                                | `gradcheck`                     |
| prove a whole model's                           | `model_check`                   |
| hear what is wrong with one                     | `doctor`                        |
| see classic mistakes caught                     | `museum`                        |
| check numbers worked out by hand                | `tape`                          |
| see how far gradients reach                     | `diagnostics`                   |
| test memory, against an exact floor             | `tasks`                         |
| judge the answers of the workbook               | `grading`                       |
"""
