"""The model in Keras and in NumPy, its optimizer, its metrics, its export."""
